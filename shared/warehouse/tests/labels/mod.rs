//! Labels: of this release, of another, and of people.

use crate::facts::{self, Facts, Opened, at, call_event};
use outcry_domain::{classification::*, *};
use outcry_warehouse::*;
use serde_json::{Value, json};

fn ever() -> Stretch {
    let end = Timestamp::from_millis(i64::MAX);
    Stretch { from: Timestamp::UNKNOWN, to: end, ingested_before: end }
}

async fn correct(opened: &Opened, corrections: &[(&Item, i64, &str, &str)]) {
    let mut batch = Batch::new(StoredTable::CaseEvents, "outcry.case.events", 1, 0);
    for (offset, (item, second, axis, label)) in corrections.iter().enumerate() {
        let action =
            CaseAction::LabelCorrection { contact_id: item.contact_id, axis: (*axis).into(), label: (*label).into() };
        batch.push(offset as u64, &facts::case_event(item.case_id, *second, action));
    }
    opened.insert(&batch).await;
}

#[tokio::test]
async fn a_stored_item_is_read_as_it_was_but_for_its_customers_name() {
    let opened = Opened::fresh().await;
    let mut rows = Facts::new().mail("a", 0).automatic_answer("a", 5).mail("b", 0).done();
    rows.push(call_event("call", CallEventKind::Transcript, 3));
    rows.push(call_event("call", CallEventKind::Other, 4));
    rows.push(facts::post("post", "it's \\ 'late'", 7, channel::PostEventKind::Published));
    rows.push(facts::everything());
    rows[2].item.customer = CustomerKey::new(b"k").anonymous(b"withheld");
    rows[2].item.occurred_at = Timestamp::UNKNOWN;
    rows[4].item.revision = -7;
    opened.store(&rows).await;
    // A page of two, so that pages join without a gap or a repetition.
    let (total, parts) = opened.sink.stretch(&ever()).await.unwrap();
    assert_eq!((total, parts.len()), (7, 3));
    let mut read = Vec::new();
    for (brand, channel) in &parts {
        let part = (brand.as_str(), *channel);
        let mut after = None;
        for until in opened.sink.slices(part, &ever(), 3).await.unwrap() {
            loop {
                let page = opened.sink.stored_items(part, &ever(), after.as_ref(), until, 2).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some(ItemPlace::of(&last.item));
                read.extend(page);
            }
        }
    }
    assert_eq!(read.len(), rows.len());
    for found in read {
        let original = rows.iter().find(|row| row.item.item_id == found.item.item_id).unwrap();
        let mut expected = original.item.clone();
        expected.customer.name = None;
        assert_eq!(found.item, expected);
        assert!(found.whole);
        assert_eq!(found.stored.labels, labels_by_axis(&original.classification));
        assert_eq!(found.stored.classifier_version, original.classification.classifier_version);
    }
    // A customer who was removed does not come back as somebody else.
    opened.as_migrator("TRUNCATE TABLE stored_customers").await;
    let mails = opened.sink.stored_items((facts::BRAND, Channel::Email), &ever(), None, ever().to, 100).await.unwrap();
    assert_eq!(mails.iter().filter(|mail| mail.whole).count(), 1, "the one without an address");
}

#[tokio::test]
async fn only_the_stretch_asked_for_is_read() {
    let opened = Opened::fresh().await;
    let rows = Facts::new().mail("a", 0).mail("b", 10).mail("c", 20).done();
    opened.store(&rows).await;
    let subjects = |stretch: Stretch| {
        let sink = opened.sink.clone();
        async move {
            let found = sink.stored_items((facts::BRAND, Channel::Email), &stretch, None, ever().to, 10).await.unwrap();
            found.into_iter().map(|found| found.item.text).collect::<Vec<_>>()
        }
    };
    assert_eq!(subjects(Stretch { from: at(10), to: at(20), ..ever() }).await, ["b writes"]);
    assert_eq!(subjects(Stretch { ingested_before: at(10), ..ever() }).await, ["a writes"]);
}

#[tokio::test]
async fn slices_hold_about_as_many_items_as_asked_for_and_miss_none() {
    let opened = Opened::fresh().await;
    let mut rows = (0..10).fold(Facts::new(), |facts, number| facts.mail(&format!("c{number}"), number)).done();
    // Seven of one time: more than a slice.
    rows.iter_mut().skip(3).for_each(|row| row.item.occurred_at = at(50));
    opened.store(&rows).await;
    let slices = opened.sink.slices((facts::BRAND, Channel::Email), &ever(), 2).await.unwrap();
    assert_eq!(slices, [at(1), at(50)]);
    assert!(opened.sink.slices(("none", Channel::Email), &ever(), 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_labels_of_items_are_found_by_their_places_and_the_latest_reading_counts() {
    let opened = Opened::fresh().await;
    let mut rows = Facts::new().mail("a", 0).mail("it's \\ me", 1).mail("never stored", 2).done();
    opened.store(&rows[..2]).await;
    rows[0].classification.category.label = Category::Safety;
    rows[0].classification.classifier_version = "2".into();
    opened.store_from(&rows[..1], 10).await;
    let places: Vec<ItemPlace> = rows.iter().map(|row| ItemPlace::of(&row.item)).collect();
    let found = opened.sink.stored_labels(&places).await.unwrap();
    assert_eq!(found.len(), 2);
    for row in &rows[..2] {
        let labels = &found[&row.item.item_id];
        assert_eq!(labels.labels, labels_by_axis(&row.classification));
        assert_eq!(labels.classifier_version, row.classification.classifier_version);
        assert_eq!(labels.ingested_at, row.item.ingested_at);
    }
    assert!(opened.sink.stored_labels([]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_person_corrected_stays_whatever_classifier_reads_it_later() {
    let opened = Opened::fresh().await;
    let mut rows = Facts::new().mail("a", 0).done();
    opened.store(&rows).await;
    let item = rows[0].item.clone();
    let axes = [("kind", "request"), ("category", "safety"), ("urgency", "high"), ("sentiment", "neutral")];
    let corrections: Vec<_> =
        axes.iter().zip(10..).map(|((axis, label), second)| (&item, second, *axis, *label)).collect();
    correct(&opened, &corrections).await;
    for (offset, category) in [(50, Category::Other), (60, Category::StaffConduct)] {
        rows[0].classification.category.label = category;
        rows[0].classification.kind.label = Kind::Spam;
        rows[0].classification.urgency.label = Urgency::Low;
        rows[0].classification.sentiment.label = Sentiment::Positive;
        opened.store_from(&rows, offset).await;
        let sql = "SELECT kind, category, urgency, sentiment, counted FROM contacts";
        let contact = opened.analyst.query(sql, &[]).await.unwrap();
        assert_eq!(contact.rows, [[json!("request"), json!("safety"), json!("high"), json!("neutral"), json!(true)]]);
        let case = opened.analyst.query("SELECT kind, category, urgency FROM cases", &[]).await.unwrap();
        assert_eq!(case.rows, [[json!("request"), json!("safety"), json!("high")]]);
        let item = opened.analyst.query("SELECT category FROM items", &[]).await.unwrap();
        assert_eq!(item.rows, [[json!(category.as_str())]], "an item keeps the classifier's own word");
    }
}

/// Five mails. Counted are a, b, c and d; e is spam, a person says.
///
/// | mail | classifier           | confidence | person says        |
/// |------|----------------------|------------|--------------------|
/// | a    | delivery             | 0.5        | safety, then delivery |
/// | b    | delivery             | 0.95       | safety             |
/// | c    | other                | 0.95       | other              |
/// | d    | other, for review    | 0.5        |                    |
/// | e    | delivery, complaint  | 0.5        | kind: spam         |
#[tokio::test]
async fn classifier_quality_is_what_a_person_counts_by_hand() {
    let opened = Opened::fresh().await;
    let mut rows = Facts::new().mail("a", 0).mail("b", 1).mail("c", 2).mail("d", 3).mail("e", 4).done();
    rows[1].classification.category.confidence = 0.95;
    rows[2].classification.category = Scored { label: Category::Other, confidence: 0.95 };
    rows[3].classification.category.label = Category::Other;
    rows[3].classification.needs_review = true;
    opened.store(&rows).await;
    let items: Vec<Item> = rows.iter().map(|row| row.item.clone()).collect();
    let corrections = [
        (&items[0], 20, "category", "delivery"),
        (&items[0], 10, "category", "safety"),
        (&items[1], 10, "category", "safety"),
        (&items[2], 10, "category", "other"),
        (&items[4], 10, "kind", "spam"),
        (&items[4], 11, "queue", "an axis of their own, which the classifier does not know"),
    ];
    correct(&opened, &corrections).await;
    let report = opened.analyst.report("classifier-quality", &ReportParams::default()).await.unwrap();
    let (none, alarm) = (Value::Null, "above 15 %");
    let row = |measure: &str, axis: &str, label: &str, (contacts, hits, share): (u64, u64, f64), expected: &Value| {
        let alarm = if measure == "share" { alarm } else { "" };
        let share = if share.fract() == 0.0 { json!(share as u64) } else { json!(share) };
        vec![
            json!(measure),
            json!(axis),
            json!(label),
            json!(contacts),
            json!(hits),
            share,
            expected.clone(),
            json!(alarm),
        ]
    };
    let expected = [
        row("agreement", "category", "all", (3, 2, 0.667), &none),
        row("agreement", "kind", "all", (1, 0, 0.0), &none),
        row("precision", "category", "delivery", (2, 1, 0.5), &none),
        row("precision", "category", "other", (1, 1, 1.0), &none),
        row("precision", "kind", "complaint", (1, 0, 0.0), &none),
        row("recall", "category", "delivery", (1, 1, 1.0), &none),
        row("recall", "category", "other", (1, 1, 1.0), &none),
        row("recall", "category", "safety", (1, 0, 0.0), &none),
        row("recall", "kind", "spam", (1, 0, 0.0), &none),
        row("share", "category", "other", (4, 2, 0.5), &none),
        row("share", "review", "needs_review", (4, 1, 0.25), &none),
        row("calibration", "category", "0.5 to 0.6", (1, 1, 1.0), &json!(0.5)),
        row("calibration", "category", "0.9 to 1.0", (2, 1, 0.5), &json!(0.95)),
        row("calibration", "kind", "0.5 to 0.6", (1, 0, 0.0), &json!(0.5)),
    ];
    assert_eq!(report.rows, expected);
    // Of the second and third mail alone: nobody's kind, no review, half of them other.
    let params = ReportParams { from: Some(at(1)), to: Some(at(3)), ..ReportParams::default() };
    let part = opened.analyst.report("classifier-quality", &params).await.unwrap();
    assert_eq!(part.rows[0][..5], [json!("agreement"), json!("category"), json!("all"), json!(2), json!(1)]);
    let review = part.rows.iter().find(|row| row[1] == json!("review")).unwrap();
    assert_eq!((&review[3], &review[4], &review[7]), (&json!(2), &json!(0), &json!("")));
    let elsewhere = ReportParams { brand: Some("none".into()), ..ReportParams::default() };
    assert!(opened.analyst.report("classifier-quality", &elsewhere).await.unwrap().rows.is_empty());
}

/// The words that stand for a contact are those of its latest version that has any, and so are the labels that are judged.
#[tokio::test]
async fn the_label_that_is_judged_is_that_of_the_version_that_is_shown() {
    let opened = Opened::fresh().await;
    let mut rows = vec![
        facts::post("p", "it is late", 10, channel::PostEventKind::Published),
        facts::post("p", "it is broken", 20, channel::PostEventKind::Published),
        facts::post("p", "", 30, channel::PostEventKind::Deleted),
    ];
    rows[1].classification.category.label = Category::ProductQuality;
    rows[2].classification.category.label = Category::Other;
    opened.store(&rows).await;
    let item = rows[0].item.clone();
    correct(&opened, &[(&item, 40, "category", "product_quality")]).await;
    let report = opened.analyst.report("classifier-quality", &ReportParams::default()).await.unwrap();
    assert_eq!(report.rows[0][..5], [json!("agreement"), json!("category"), json!("all"), json!(1), json!(1)]);
    let other = report.rows.iter().find(|row| row[2] == json!("other")).unwrap();
    assert_eq!((&other[3], &other[4]), (&json!(1), &json!(0)));
}

//! Labels: of this release, of another, and of people.

use crate::facts::{self, Facts, Opened, at, call_event};
use outcry_domain::{classification::*, *};
use outcry_warehouse::*;
use serde_json::json;

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

//! History under another classifier: from Kafka, and from ClickHouse once Kafka has forgotten.

use crate::setup::{NOTIFIER, PATIENCE, Receipts, SINK};
use outcry_domain::{
    CaseAction, CaseEvent, Channel, ClassifiedItem, ContactId, CustomerKey, EventId, Item, ItemId, Mail,
    SCHEMA_VERSION, Timestamp,
    classification::{Kind, Urgency},
};
use outcry_kafka::{Publisher, Topic};
use outcry_sandbox::{delete_records, shared_stack};
use outcry_tests::{Pipeline, binary};
use serde_json::{Value, json};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const LABELS: &str = "SELECT subject, kind, category, urgency FROM {db}.contacts ORDER BY subject";
/// Everything of an item that is not the classifier's.
const FACTS: &str = "SELECT item_id, sipHash64(* EXCEPT(item_id, kafka_offset, kafka_partition, version, classifier_version, \
    language, language_confidence, kind, kind_confidence, category, category_confidence, secondary_categories, \
    secondary_confidences, subcategory, subcategory_confidence, urgency, urgency_confidence, urgency_score, sentiment, \
    sentiment_confidence, amounts, needs_review, evidence)) FROM {db}.stored_items FINAL ORDER BY item_id";

/// A customer's first mail of ten minutes ago, as yesterday's classifier took it.
fn read_as(name: &str, text: &str, kind: Kind, urgency: Urgency) -> ClassifiedItem {
    let customer = CustomerKey::new(b"reclassify").email(&format!("{name}@customer.example"), Some(name));
    let id = json!("00000000-0000-0000-0000-000000000001");
    let now = jiff::Timestamp::now();
    let at = json!(format!("{:.3}", now - jiff::Span::new().minutes(10)));
    let mut item: Item = serde_json::from_value(json!({
        "schema_version": SCHEMA_VERSION, "item_id": id, "contact_id": id, "case_id": id, "revision": 0, "brand": "acme",
        "channel": "email", "source": "email:support", "provider": "imap", "direction": "inbound", "author_kind": "human",
        "customer": customer, "subject": name, "text": text, "occurred_at": at, "received_at": at,
        "ingested_at": format!("{now:.3}"),
        "effective_at": at, "origin": { "connector": "test", "raw_size": 1, "raw_sha256": "" }, "from_the_future": [1]
    }))
    .unwrap();
    item.item_id = ItemId::new("acme", Channel::Email, "reclassify", &[name.as_bytes()]);
    item.contact_id = ContactId::new("acme", Channel::Email, &[name.as_bytes()]);
    item.case_id = outcry_domain::CaseId::new("acme", name.as_bytes(), item.customer.customer_id);
    let from = format!("{name}@customer.example");
    item.mail =
        Some(Mail { message_id: format!("{name}@x"), from, to: vec!["care@acme.example".into()], ..Mail::default() });
    let scored = |label: &str| json!({ "label": label, "confidence": 0.5 });
    let classification = serde_json::from_value(json!({
        "classifier_version": "0.0.1+t1+old", "language": scored("en"), "kind": scored(kind.as_str()),
        "category": scored("other"), "urgency": scored(urgency.as_str()), "urgency_score": 1,
        "sentiment": scored("neutral")
    }));
    ClassifiedItem { item, classification: classification.unwrap() }
}

async fn publish(publisher: &Publisher, items: &[ClassifiedItem]) {
    for item in items {
        publisher.publish_json(Topic::ItemsClassified, &item.item.case_id.to_string(), item).await.unwrap();
    }
}

async fn reclassify(pipeline: &Pipeline<'_>, more: &[&str]) -> (Vec<(String, String, String, u64)>, String) {
    let config = pipeline.config().display().to_string();
    let password = pipeline.stack().clickhouse().passwords.migrator.clone();
    let user = [("OUTCRY_CLICKHOUSE__USERNAME", "migrator"), ("OUTCRY_CLICKHOUSE__PASSWORD", password.as_str())];
    let arguments = [&["reclassify", "--from", "2026-01-01", "--format", "json", "--config", &config], more].concat();
    let said = binary::run("outcry", &arguments, &user, BOUND).await.unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let table: Value = serde_json::from_str(&said.stdout).unwrap();
    let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
    let changes = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "axis"), text(row, "from"), text(row, "to"), row["items"].as_u64().unwrap()));
    (changes.collect(), said.stderr)
}

async fn wait_until_current(pipeline: &Pipeline<'_>, items: u64) {
    let current = "SELECT count() FROM {db}.items WHERE classifier_version NOT LIKE '%old'";
    pipeline.wait_for(current, items, PATIENCE).await.unwrap();
}

fn correction(item: &Item) -> CaseEvent {
    let now: Timestamp = jiff::Timestamp::now().to_string().parse().unwrap();
    CaseEvent {
        schema_version: SCHEMA_VERSION,
        event_id: EventId::new("acme", item.case_id, b"correction"),
        case_id: item.case_id,
        brand: "acme".into(),
        occurred_at: now,
        ingested_at: now,
        actor: None,
        action: CaseAction::LabelCorrection {
            contact_id: item.contact_id,
            axis: "category".into(),
            label: "warranty_repair".into(),
        },
        unknown_fields: serde_json::Map::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_gets_the_labels_of_this_release_and_nobody_is_written_to() {
    let stack = shared_stack().await;
    let receipts = Receipts::new();
    let alerts = "\n[notifier.alerts]\nto = [\"duty@acme.example\"]\n";
    let mut pipeline = Pipeline::prepare(stack, &format!("{}{alerts}", receipts.sections())).await.unwrap();
    let publisher = Publisher::new(&pipeline.kafka(), "test").unwrap();
    let fire = "Your toaster caught fire and my child was burned. We are in hospital.";
    let parcel = "My parcel never arrived and nobody answers. I want my money back!";
    // What was made before the oldest record of Kafka is looked for in ClickHouse.
    let opener = read_as("opener", "", Kind::Question, Urgency::Low).item;
    publisher.publish_json(Topic::ItemsRaw, "opener", &opener).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let items = [
        read_as("fire", fire, Kind::Spam, Urgency::Low),
        read_as("parcel", parcel, Kind::Question, Urgency::Normal),
        read_as("thanks", "Thank you so much, wonderful service!", Kind::Spam, Urgency::Low),
    ];
    for item in &items {
        publisher.publish_json(Topic::ItemsRaw, &item.item.case_id.to_string(), &item.item).await.unwrap();
    }
    publish(&publisher, &items).await;
    let event = correction(&items[1].item);
    publisher.publish_json(Topic::CaseEvents, &event.case_id.to_string(), &event).await.unwrap();
    pipeline.start(&[SINK, NOTIFIER]).await.unwrap();
    pipeline.wait_for("SELECT count() FROM {db}.contacts", 3, PATIENCE).await.unwrap();
    pipeline.wait_for("SELECT count() FROM {db}.contacts WHERE corrected", 1, PATIENCE).await.unwrap();
    // The receipt of the mail that was no spam; it becomes an item of Kafka, which nobody classifies here.
    assert_eq!(receipts.0.wait_for(1, PATIENCE).await[0].to, ["parcel@customer.example"]);
    let before = pipeline.ask(LABELS).await.unwrap();
    let facts = pipeline.ask_as("migrator", FACTS).await.unwrap();

    let (would, said) = reclassify(&pipeline, &["--dry-run"]).await;
    for (axis, from, to) in [
        ("kind", "spam", "complaint"),
        ("kind", "question", "complaint"),
        ("kind", "spam", "praise"),
        ("category", "other", "safety"),
        ("category", "other", "delivery"),
        ("urgency", "low", "critical"),
    ] {
        assert!(would.contains(&(axis.into(), from.into(), to.into(), 1)), "{axis} {from} {to}: {would:?}");
    }
    assert!(said.contains("3 from Kafka, 0 from ClickHouse"), "{said}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pipeline.ask(LABELS).await.unwrap(), before, "a dry run changes nothing");

    assert_eq!(reclassify(&pipeline, &[]).await.0, would);
    wait_until_current(&pipeline, 3).await;
    let after = pipeline.ask(LABELS).await.unwrap();
    assert_eq!(after[0], "fire\tcomplaint\tsafety\tcritical");
    assert_eq!(after[1], "parcel\tcomplaint\twarranty_repair\tnormal", "a person's word wins over any classifier");
    assert!(after[2].starts_with("thanks\tpraise\t"), "{after:?}");
    assert_eq!(pipeline.ask_as("migrator", FACTS).await.unwrap(), facts, "nothing but labels changed");

    let (again, said) = reclassify(&pipeline, &[]).await;
    assert!(again.is_empty() && said.contains("3 stay as they are"), "{said}");

    // What Kafka has forgotten, and the sink has read anew as it was first classified.
    publish(&publisher, &items).await;
    pipeline
        .wait_for("SELECT count() FROM {db}.items WHERE classifier_version LIKE '%old'", 3, PATIENCE)
        .await
        .unwrap();
    delete_records(stack.bootstrap(), &pipeline.kafka().topic_name(Topic::ItemsRaw)).await.unwrap();
    let (anew, said) = reclassify(&pipeline, &[]).await;
    assert!(anew == would && said.contains("0 from Kafka, 3 from ClickHouse"), "{anew:?} {said}");
    wait_until_current(&pipeline, 3).await;
    assert_eq!(pipeline.ask(LABELS).await.unwrap(), after);
    assert_eq!(pipeline.ask_as("migrator", FACTS).await.unwrap(), facts, "nothing but labels changed");

    // The notifier has passed all of it: a new mail is answered.
    publish(&publisher, &[read_as("new", parcel, Kind::Complaint, Urgency::Critical)]).await;
    receipts.0.wait_for(3, PATIENCE).await;
    let mut to: Vec<String> = receipts.0.received().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["duty@acme.example", "new@customer.example", "parcel@customer.example"]);
}

//! The console on a real broker and a real warehouse.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use outcry_console::{Config, serve};
use outcry_domain::{
    CaseEvent, ClassifiedItem,
    classification::{RECLASSIFIED_HEADER, Urgency},
};
use outcry_kafka::{KafkaConfig, Outcome, Outgoing, Publisher, Record, Topic, ensure_topics, for_each_record};
use outcry_runtime::{Context, ServiceConfig};
use outcry_sandbox::{fresh_prefix, shared_stack};
use outcry_warehouse::ClickHouseConfig;
use serde_json::json;
use std::time::Duration;
use tokio::{net::TcpListener, sync::mpsc};

const TOKEN: &str = "a token for tests only";
const PATIENCE: Duration = Duration::from_secs(60);

/// The migrator's part of a configuration.
#[derive(serde::Deserialize)]
struct Setup {
    clickhouse: ClickHouseConfig,
}

fn classified() -> ClassifiedItem {
    let (id, at) = ("00000000000000000000000000000001", "2026-03-01T09:00:00Z");
    serde_json::from_value(json!({
        "item": {
            "schema_version": 1, "item_id": id, "contact_id": id, "case_id": id, "revision": 0, "brand": "acme",
            "channel": "email", "source": "email:support", "provider": "imap", "direction": "inbound",
            "author_kind": "human", "customer": {"customer_id": id, "address": "ana@shop.example", "name": "Ana"},
            "subject": "<script>alert(1)</script>", "text": "write to ana@shop.example", "occurred_at": at,
            "received_at": at, "ingested_at": at, "effective_at": at,
            "origin": {"connector": "test", "raw_size": 1, "raw_sha256": ""}
        },
        "classification": {
            "classifier_version": "test", "language": {"label": "en", "confidence": 1.0},
            "kind": {"label": "complaint", "confidence": 1.0}, "category": {"label": "delivery", "confidence": 1.0},
            "urgency": {"label": "high", "confidence": 1.0}, "urgency_score": 70,
            "sentiment": {"label": "negative", "confidence": 1.0}
        }
    }))
    .unwrap()
}

async fn first_case_event(kafka: KafkaConfig) -> CaseEvent {
    let (found, mut events) = mpsc::unbounded_channel();
    let context = Context::for_tests();
    let shutdown = context.shutdown.clone();
    let reading = tokio::spawn(async move {
        let publisher = Publisher::new(&kafka, "test").unwrap();
        let handler = move |record: Record| {
            drop(found.send(serde_json::from_slice::<CaseEvent>(&record.payload).unwrap()));
            async { Outcome::Done }
        };
        for_each_record(&kafka, "reader", &[Topic::CaseEvents], &publisher, &context, handler).await
    });
    let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    shutdown.cancel();
    reading.await.unwrap().unwrap();
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn items_appear_live_reports_answer_and_what_is_posted_is_with_the_broker() {
    outcry_runtime::install_crypto_provider();
    let stack = shared_stack().await;
    let (prefix, database) = (fresh_prefix(), stack.fresh_database().await.unwrap());
    let migrator = stack.config_toml_as("migrator", &prefix, &database);
    let setup: Setup = toml::from_str(&migrator).unwrap();
    outcry_warehouse::migrate(&setup.clickhouse).await.unwrap();
    let config: Config = toml::from_str(&format!(
        "{}[[brands]]\nid = \"acme\"\nname = \"Acme\"\n[console]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n",
        stack.config_toml_as("analyst", &prefix, &database)
    ))
    .unwrap();
    config.validate().unwrap();
    ensure_topics(&config.kafka).await.unwrap();
    let (kafka, context) = (config.kafka.clone(), Context::for_tests());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(listener, config, context.clone()));
    let http = reqwest::Client::new();
    let get = |path: &str| http.get(format!("{base}{path}")).bearer_auth(TOKEN).send();

    let mut feed = get("/feed").await.unwrap();
    assert_eq!(feed.headers()["content-type"], "text/event-stream");
    let item = classified();
    let publisher = Publisher::new(&kafka, "test").unwrap();
    publisher.publish(Topic::ItemsClassified, "x", b"\xff not an item".to_vec()).await.unwrap();
    // Other labels of an old item, in front of it in the same partition, are no news.
    let mut old = item.clone();
    old.classification.urgency.label = Urgency::Low;
    let mark = (RECLASSIFIED_HEADER.to_owned(), b"2".to_vec());
    let relabelled = Outgoing {
        topic: kafka.topic_name(Topic::ItemsClassified),
        key: item.item.case_id.to_string().into_bytes(),
        payload: serde_json::to_vec(&old).unwrap(),
        headers: vec![mark],
    };
    publisher.publish_record(relabelled).await.unwrap();
    publisher.publish_json(Topic::ItemsClassified, &item.item.case_id.to_string(), &item).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("\n\n") || !seen.contains("event: item") {
        let chunk = tokio::time::timeout(PATIENCE, feed.chunk()).await.unwrap().unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(seen.contains("\"urgency\":\"high\"") && !seen.contains("ana@"), "{seen}");
    assert!(!seen.contains("\"urgency\":\"low\""), "{seen}");
    let page = get("/").await.unwrap().text().await.unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert") && !page.contains("ana@"), "{page}");
    assert!(!page.contains("class=\"problem\""), "both reports answer: {page}");

    for report in ["volume", "response-times"] {
        let answer = get(&format!("/api/reports/{report}?brand=acme&from=2026-03-01")).await.unwrap();
        assert_eq!(answer.status(), 200, "{report}");
        let table: serde_json::Value = answer.json().await.unwrap();
        assert!(table["columns"].is_array() && table["rows"].is_array(), "{report}: {table}");
    }

    let body = json!({"case_id": item.item.case_id, "brand": "acme", "occurred_at": "2026-03-01T10:00:00Z",
        "actor": "rosa", "action": {"type": "taken"}});
    let post = || {
        let request = http.post(format!("{base}/api/case-events")).bearer_auth(TOKEN).header("Idempotency-Key", "k1");
        request.json(&body).send()
    };
    let (first, second) = (post().await.unwrap(), post().await.unwrap());
    assert_eq!((first.status(), second.status()), (reqwest::StatusCode::CREATED, reqwest::StatusCode::CREATED));
    let first: serde_json::Value = first.json().await.unwrap();
    assert_eq!(first, second.json::<serde_json::Value>().await.unwrap());
    let event = first_case_event(kafka).await;
    assert_eq!((event.case_id, event.action.as_str()), (item.item.case_id, "taken"));
    assert_eq!(json!(event.event_id), first["event_id"]);

    context.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), serving).await.expect("it does not stop").unwrap().unwrap();
}

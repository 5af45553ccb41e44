//! What should not arrive and does: stored, or in dead letters with a reason, and never in the way of what comes after.

use crate::setup::{CLASSIFIER, PATIENCE, PHONE, classified};
use outcry_domain::Item;
use outcry_kafka::Topic;
use outcry_tests::{Generator, Pipeline, phone::PhoneFront, webhook::call_event};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

const GOOD: u64 = 20;

fn item(number: u64) -> Item {
    Generator::new("acme", 9).item(number)
}

/// Publishes the records, good items before and after them, and waits until the good ones are stored.
async fn among_good(pipeline: &Pipeline<'_>, records: &[Vec<u8>]) {
    let generator = Generator::new("acme", 5);
    let publisher = pipeline.publisher().unwrap();
    let mut ledger = pipeline.publish_items(&generator, 0..GOOD).await.unwrap();
    for (number, record) in records.iter().enumerate() {
        publisher.publish(Topic::ItemsRaw, &format!("key-{number}"), record.clone()).await.unwrap();
    }
    // Keys enough that every partition has something after the bad records.
    ledger.extend(pipeline.publish_items(&generator, GOOD..GOOD * 4).await.unwrap());
    let found = pipeline.compare_items(&ledger, PATIENCE).await.unwrap();
    assert!(found.lost.is_empty() && found.doubled.is_empty(), "the good items: {found}");
}

/// Waits for this many dead letters, then gives reason and payload of each.
async fn dead_letters(pipeline: &Pipeline<'_>, count: u64) -> Vec<(String, String)> {
    pipeline.wait_for("SELECT count() FROM {db}.dead_letters", count, PATIENCE).await.unwrap();
    let rows = pipeline.ask_as("migrator", "SELECT reason, hex(payload) FROM {db}.stored_dead_letters").await.unwrap();
    assert_eq!(rows.len() as u64, count, "{rows:?}");
    rows.iter().map(|row| row.split_once('\t').unwrap()).map(|(reason, hex)| (reason.into(), hex.into())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

async fn refused(records: &[Vec<u8>]) {
    let pipeline = classified("").await;
    among_good(&pipeline, records).await;
    let mut letters = dead_letters(&pipeline, records.len() as u64).await;
    let mut expected: Vec<_> = records.iter().map(|record| ("undecodable".to_owned(), hex(record))).collect();
    letters.sort();
    expected.sort();
    assert_eq!(letters, expected, "reason and bytes of what was refused");
    let located = "SELECT count() FROM {db}.dead_letters WHERE detail != '' AND endsWith(origin, 'items.raw') AND origin_offset >= 0";
    assert_eq!(pipeline.number(located).await.unwrap(), records.len() as u64, "each says what was wrong, and where");
}

/// The items go through; gives their rows of `columns`, in the order of their ids.
async fn stored(items: &[Value], columns: &str) -> Vec<String> {
    let pipeline = classified("").await;
    let records: Vec<_> = items.iter().map(|item| item.to_string().into_bytes()).collect();
    among_good(&pipeline, &records).await;
    let ids: Vec<_> = items.iter().map(|item| format!("'{}'", item["item_id"].as_str().unwrap())).collect();
    let of_ids = format!("FROM {{db}}.items WHERE item_id IN ({})", ids.join(","));
    pipeline.wait_for(&format!("SELECT count() {of_ids}"), items.len() as u64, PATIENCE).await.unwrap();
    assert_eq!(pipeline.number("SELECT count() FROM {db}.dead_letters").await.unwrap(), 0);
    pipeline.ask(&format!("SELECT {columns} {of_ids} ORDER BY toString(item_id)")).await.unwrap()
}

fn with(number: u64, field: &str, value: impl Into<Value>) -> Value {
    let mut changed = serde_json::to_value(item(number)).unwrap();
    changed[field] = value.into();
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn undecodable_json_goes_to_dead_letters_byte_for_byte() {
    refused(&[b"{\"schema_version\":1,\"item_id\":".to_vec(), b"not json \xff\xfe at all".to_vec(), b"[]".to_vec()])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_record_goes_to_dead_letters() {
    refused(&[Vec::new(), b"null".to_vec(), b"{}".to_vec()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_surrogate_goes_to_dead_letters() {
    let text = with(1, "text", "SURROGATE").to_string();
    refused(&[text.replace("SURROGATE", "half of a pair: \\ud83d, alone").into_bytes()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_a_megabyte_is_stored_whole() {
    let text = "The parcel is late and nobody answers. ".repeat(27_000);
    let rows = stored(&[with(1, "text", text.clone())], "length(text)").await;
    assert_eq!(rows, [text.len().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_bytes_are_stored() {
    let rows = stored(&[with(1, "text", "before\0after"), with(2, "subject", "\0")], "hex(text)").await;
    assert!(rows.contains(&hex(b"before\0after")), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_1970_and_2099_are_stored_with_their_times() {
    let dated = |number, at: &str| {
        let mut item = with(number, "occurred_at", at);
        item["effective_at"] = at.into();
        item
    };
    let items =
        [dated(1, "1970-01-01T00:00:00.000Z"), dated(2, "2099-12-31T23:59:59.999Z"), dated(4, "1901-01-01T00:00:00Z")];
    let mut rows = stored(&items, "toString(occurred_at)").await;
    rows.sort();
    assert_eq!(rows, ["1901-01-01 00:00:00.000", "1970-01-01 00:00:00.000", "2099-12-31 23:59:59.999"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_without_words_is_stored() {
    let mut silent = with(1, "text", "");
    silent["subject"] = Value::Null;
    assert_eq!(stored(&[silent], "length(text) + length(subject)").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_schema_version_holds_its_partition_and_no_other() {
    let pipeline = classified("").await;
    let publisher = pipeline.publisher().unwrap();
    let newer = with(1, "schema_version", 2);
    let held = publisher.publish(Topic::ItemsRaw, "newer", newer.to_string().into_bytes()).await.unwrap();
    let (mut behind, mut elsewhere) = (0, BTreeSet::new());
    for number in 0..60 {
        let item = item(number * 3);
        let delivered = publisher.publish_json(Topic::ItemsRaw, &item.case_id.to_string(), &item).await.unwrap();
        if delivered.partition == held.partition {
            behind += 1;
        } else {
            elsewhere.insert(item.item_id.to_string());
        }
    }
    assert!(behind > 0 && !elsewhere.is_empty(), "{behind} behind it, {} elsewhere", elsewhere.len());
    let not_ready = async || pipeline.service(CLASSIFIER).wait_health_saying(503, "schema version", PATIENCE).await;
    not_ready().await.unwrap();
    let found = pipeline.compare_items(&elsewhere, PATIENCE).await.unwrap();
    assert!(found.is_none(), "the other partitions: {found}");
    assert_eq!(pipeline.number("SELECT count() FROM {db}.dead_letters").await.unwrap(), 0);

    // Started again it stands at the same record: the version was not passed over.
    pipeline.service(CLASSIFIER).terminate(Duration::from_secs(25)).await.unwrap();
    pipeline.service(CLASSIFIER).start_again().unwrap();
    not_ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pipeline.number("SELECT count() FROM {db}.items").await.unwrap(), elsewhere.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_unsigned_unreadable_or_too_large_is_refused_with_the_right_status() {
    let front = PhoneFront::new().unwrap();
    let mut pipeline = classified(&front.sections()).await;
    pipeline.start(&[PHONE]).await.unwrap();
    let event = call_event("answered", "call-1", 1, "2026-03-01T09:30:00Z");

    assert_eq!(front.post_forged("msg-1", &event).await.unwrap(), 401);
    assert_eq!(front.post_standard_bytes("msg-2", b"{\"call_id\": \xff".to_vec()).await.unwrap(), 400);
    assert_eq!(front.post_standard_bytes("msg-3", Vec::new()).await.unwrap(), 400);
    assert_eq!(front.post_standard_bytes("msg-4", vec![b' '; 257 * 1024]).await.unwrap(), 413);
    assert_eq!(front.post_twilio(&[("Nothing", "that Twilio sends")]).await.unwrap(), 400);
    assert!((200..300).contains(&front.post_standard("msg-5", &event).await.unwrap()));

    // What was authentic and unreadable is kept; what was forged leaves no trace.
    pipeline.wait_for("SELECT count() FROM {db}.items", 1, PATIENCE).await.unwrap();
    let letters = dead_letters(&pipeline, 3).await;
    assert!(letters.iter().all(|(reason, _)| reason == "undecodable"), "{letters:?}");
    assert!(letters.contains(&("undecodable".into(), hex(b"{\"call_id\": \xff"))), "{letters:?}");
    assert_eq!(pipeline.number("SELECT count() FROM {db}.items").await.unwrap(), 1);
}

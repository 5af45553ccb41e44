//! What was refused can be seen, and sent again into the view once, however often it is sent.

use crate::setup::{PATIENCE, classified};
use outcry_domain::{DeadLetter, Item, Timestamp};
use outcry_kafka::{Topic, group_positions, scan};
use outcry_sandbox::shared_stack;
use outcry_tests::{
    Generator, Pipeline,
    binary::{self, Said},
    generate::{category_of, classified as with_classification},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const ITEMS: u64 = 60;

/// `outcry dead-letters …` on the pipeline's topics.
async fn dead_letters(pipeline: &Pipeline<'_>, arguments: &[&str]) -> Said {
    let config = pipeline.config();
    let all = [&["dead-letters"], arguments, &["--config", config.to_str().unwrap()]].concat();
    binary::run("outcry", &all, &[], PATIENCE).await.unwrap()
}

fn letter(origin: &str, partition: i32, offset: i64, detail: &str) -> DeadLetter {
    DeadLetter {
        service: "a service".into(),
        reason: "too_large".into(),
        detail: detail.to_owned(),
        origin: origin.to_owned(),
        partition,
        offset,
        received_at: Timestamp::from_seconds(1_767_600_000),
        refused_at: Timestamp::from_seconds(1_767_600_001),
    }
}

/// Does it and expects success.
async fn done(pipeline: &Pipeline<'_>, arguments: &[&str]) -> Said {
    let said = dead_letters(pipeline, arguments).await;
    assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
    said
}

async fn list(pipeline: &Pipeline<'_>, filter: &[&str]) -> Vec<Value> {
    let said = done(pipeline, &[&["list", "--format", "json"], filter].concat()).await;
    let listed: Value = serde_json::from_str(&said.stdout).unwrap();
    listed["rows"].as_array().unwrap().clone()
}

async fn wait_for_letters(pipeline: &Pipeline<'_>, count: u64) {
    pipeline.wait_for("SELECT count() FROM {db}.dead_letters", count, PATIENCE).await.unwrap();
}

/// What was ever sent to a topic.
async fn ever_sent(pipeline: &Pipeline<'_>, topic: Topic) -> Vec<Vec<u8>> {
    let kafka = pipeline.kafka();
    scan(&kafka, &kafka.topic_name(topic), |record| Some(record.payload)).await.unwrap()
}

/// Waits until the sink has stored all that is in its topic.
async fn all_read(pipeline: &Pipeline<'_>) {
    let begun = Instant::now();
    loop {
        let positions = group_positions(&pipeline.kafka(), "sink", Topic::ItemsClassified).await.unwrap();
        if positions.values().all(|position| position.end == 0 || position.lag() == 0) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{positions:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The column of the table that refuses what it does not know.
async fn only_known_providers(pipeline: &Pipeline<'_>, strict: bool) {
    let kind = if strict { "Enum8('imap', 'mastodon')" } else { "LowCardinality(String)" };
    let change = format!("ALTER TABLE {{db}}.stored_items MODIFY COLUMN provider {kind}");
    pipeline.ask_as("migrator", &change).await.unwrap();
}

/// As a classifier passes them on, three of them with a provider that is unheard of.
fn items() -> Vec<(Item, bool)> {
    let generator = Generator::new("acme", 41);
    let item = |number| {
        let mut item = generator.item(number);
        let refused = [7, 8, 40].contains(&number);
        if refused {
            item.provider = "unheard-of".into();
        }
        (item, refused)
    };
    (0..ITEMS).map(item).collect()
}

async fn classify(pipeline: &Pipeline<'_>, item: &Item) {
    let row = with_classification(item.clone(), category_of(0));
    let publisher = pipeline.publisher().unwrap();
    publisher.publish_json(Topic::ItemsClassified, &item.case_id.to_string(), &row).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_clickhouse_refuses_is_found_among_others_and_replayed_into_the_view_once() {
    let pipeline = classified("").await;
    only_known_providers(&pipeline, true).await;
    let ids = |wanted: &dyn Fn(bool) -> bool| -> BTreeSet<String> {
        items().iter().filter(|(_, refused)| wanted(*refused)).map(|(item, _)| item.item_id.to_string()).collect()
    };
    for (item, _) in items() {
        classify(&pipeline, &item).await;
    }
    let found = pipeline.compare_items(&ids(&|refused| !refused), PATIENCE).await.unwrap();
    assert!(found.is_none(), "the good rows of the refused batches: {found}");
    wait_for_letters(&pipeline, 3).await;

    let letters = list(&pipeline, &["--reason", "refused_by_clickhouse", "--topic", "items.classified"]).await;
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(letters.iter().all(|letter| letter["replayed_at"].is_null()), "{letters:?}");
    for none in
        [["--reason", "undecodable"], ["--topic", "items.raw"], ["--from", "2999-01-01"], ["--to", "2001-01-01"]]
    {
        assert!(list(&pipeline, &none).await.is_empty(), "{none:?}");
    }
    let name = letters[0]["letter"].as_str().unwrap();
    let shown = done(&pipeline, &["show", name]).await;
    let kept: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(kept["item"]["provider"], "unheard-of", "the bytes as they came");
    assert!(shown.stderr.contains("refused_by_clickhouse"), "{}", shown.stderr);

    only_known_providers(&pipeline, false).await;
    let dry = done(&pipeline, &["replay", "--dry-run"]).await;
    assert!(dry.stderr.contains("3 would be replayed"), "{}", dry.stderr);
    let one = done(&pipeline, &["replay", name]).await;
    assert!(one.stderr.contains("1 replayed, 0 were replayed before"), "{}", one.stderr);
    let none = done(&pipeline, &["replay", "--topic", "items.raw"]).await;
    assert!(none.stderr.contains("0 replayed, 0 were replayed before"), "{}", none.stderr);
    let rest = done(&pipeline, &["replay", "--reason", "refused_by_clickhouse"]).await;
    assert!(rest.stderr.contains("2 replayed, 1 were replayed before"), "{}", rest.stderr);
    let again = done(&pipeline, &["replay"]).await;
    assert!(again.stderr.contains("0 replayed, 3 were replayed before"), "{}", again.stderr);
    let found = pipeline.compare_items(&ids(&|_| true), PATIENCE).await.unwrap();
    assert!(found.is_none(), "after the replay: {found}");
    assert_eq!(pipeline.number("SELECT count() FROM {db}.stored_items").await.unwrap(), ITEMS);
    let letters = list(&pipeline, &[]).await;
    assert!(letters.iter().all(|letter| letter["replayed_at"].is_string()), "not marked: {letters:?}");

    // A replay that ended before it could note what it had sent: the rows come twice, and are seen once.
    let publisher = pipeline.publisher().unwrap();
    for letter in &letters {
        let key = format!("dead-letters/{}", letter["letter"].as_str().unwrap());
        publisher.publish(Topic::Checkpoints, &key, Vec::new()).await.unwrap();
    }
    let repeated = done(&pipeline, &["replay"]).await;
    assert!(repeated.stderr.contains("3 replayed, 0 were replayed before"), "{}", repeated.stderr);
    // Each was sent three times: refused, replayed, and replayed again.
    assert_eq!(ever_sent(&pipeline, Topic::ItemsClassified).await.len() as u64, ITEMS + 3 + 3);
    all_read(&pipeline).await;
    let found = pipeline.compare_items(&ids(&|_| true), PATIENCE).await.unwrap();
    assert!(found.is_none(), "after the same replay again: {found}");
    assert_eq!(pipeline.number("SELECT count() FROM {db}.dead_letters").await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_refused_again_becomes_a_new_letter_and_what_is_no_topic_is_left() {
    let pipeline = classified("").await;
    let publisher = pipeline.publisher().unwrap();
    publisher.publish(Topic::ItemsRaw, "key", b"not an item".to_vec()).await.unwrap();
    let letter = letter("phone:main", -1, -1, "");
    publisher.dead_letter(&letter, None, b"a webhook").await.unwrap();
    wait_for_letters(&pipeline, 2).await;
    let said = done(&pipeline, &["replay"]).await;
    assert!(said.stderr.contains("1 replayed, 0 were replayed before, 1 cannot be"), "{}", said.stderr);
    assert!(said.stderr.contains("phone:main, which is no topic"), "{}", said.stderr);
    wait_for_letters(&pipeline, 3).await;
    let from_raw = list(&pipeline, &["--topic", "items.raw"]).await;
    let open = from_raw.iter().filter(|letter| letter["replayed_at"].is_null()).count();
    assert_eq!((from_raw.len(), open), (2, 1), "{from_raw:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_kept_only_a_beginning_is_replayed_whole_or_not_at_all() {
    let pipeline = classified("").await;
    let publisher = pipeline.publisher().unwrap();
    let item = Generator::new("acme", 42).item(1);
    let (id, key, whole) = (item.item_id.to_string(), item.case_id.to_string(), serde_json::to_vec(&item).unwrap());
    // As the limit of a topic would have cut it; the records are small, so that the test is.
    let sent = publisher.publish(Topic::ItemsRaw, &key, whole.clone()).await.unwrap();
    let detail = format!("too large (kept: the first 100 of {} bytes)", whole.len());
    let letter = letter(&pipeline.kafka().topic_name(Topic::ItemsRaw), sent.partition, sent.offset, &detail);
    publisher.dead_letter(&letter, Some(key.as_bytes()), &whole[..100]).await.unwrap();
    // Of a topic that was made anew since, where another record lies at that offset.
    let other = [&whole[..99], b"!"].concat();
    publisher.dead_letter(&letter, Some(key.as_bytes()), &other).await.unwrap();
    let said = done(&pipeline, &["replay"]).await;
    assert!(said.stderr.contains("1 replayed, 0 were replayed before, 1 cannot be"), "{}", said.stderr);
    assert!(said.stderr.contains("only its beginning was kept"), "{}", said.stderr);
    assert_eq!(ever_sent(&pipeline, Topic::ItemsRaw).await, [whole.clone(), whole], "replayed whole");
    let found = pipeline.compare_items(&BTreeSet::from([id]), PATIENCE).await.unwrap();
    assert!(found.is_none(), "{found}");
    wait_for_letters(&pipeline, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_said() {
    let pipeline = Pipeline::prepare(shared_stack().await, "").await.unwrap();
    for (arguments, words) in [
        (&["replay", "0@1", "--reason", "undecodable"][..], "not both"),
        (&["show", "0@17"], "there is no dead letter 0@17"),
        (&["show", "17"], "PARTITION@OFFSET"),
        (&["list", "--from", "yesterday"], "neither a date"),
    ] {
        let said = dead_letters(&pipeline, arguments).await;
        assert!(said.code == Some(2) && said.stderr.contains(words), "{arguments:?}: {said:?}");
    }
}

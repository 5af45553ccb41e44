//! What an operator meets in a bad hour: each is named with what to do, waited out, and leaves nothing behind.

use crate::setup::{CLASSIFIER, PATIENCE, SINK, classified};
use outcry_kafka::Topic;
use outcry_sandbox::{Fault, FaultProxy, shared_stack};
use outcry_tests::{
    Binary, Generator, Pipeline, binary,
    generate::{category_of, classified as with_classification},
};
use std::{collections::BTreeSet, time::Duration};

/// How long ClickHouse stays away: ten minutes prove no more of the code, and can be asked for.
fn outage() -> Duration {
    let asked = std::env::var("OUTCRY_TEST_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(8))
}

/// A sink of the pipeline under another environment, with a log of its own.
fn sink_with(pipeline: &Pipeline<'_>, environment: &[(&str, &str)]) -> Binary {
    let config = pipeline.config();
    let arguments = ["--config".into(), config.clone().into()];
    let stack = pipeline.stack();
    let password = stack.clickhouse().passwords.sink.clone();
    let usual = [("OUTCRY_CLICKHOUSE__USERNAME", "sink"), ("OUTCRY_CLICKHOUSE__PASSWORD", password.as_str())];
    let all = [&usual, environment].concat();
    Binary::start_with(SINK, &arguments, &all, config.with_file_name("hostile-sink.log")).unwrap()
}

/// Items as a classifier passes them on; gives their ids.
async fn publish(pipeline: &Pipeline<'_>, seed: u64, count: u64) -> BTreeSet<String> {
    let (generator, publisher) = (Generator::new("acme", seed), pipeline.publisher().unwrap());
    let mut ids = BTreeSet::new();
    for number in 0..count {
        let row = with_classification(generator.item(number), category_of(number));
        let key = row.item.case_id.to_string();
        publisher.publish_json(Topic::ItemsClassified, &key, &row).await.unwrap();
        ids.insert(row.item.item_id.to_string());
    }
    ids
}

/// The positions of every command to read again in a log.
fn told_positions(log: &str) -> Vec<&str> {
    let commands = log.lines().filter(|line| line.contains("older backup")).filter_map(|line| line.split('`').nth(1));
    commands.filter_map(|command| command.split(' ').nth(3)).collect()
}

async fn all_stored_once(pipeline: &Pipeline<'_>, ledger: &BTreeSet<String>) {
    let found = pipeline.compare_items(ledger, PATIENCE).await.unwrap();
    assert!(found.is_none(), "{found}");
    assert_eq!(pipeline.physical_duplicates().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clickhouse_that_is_away_is_named_waited_for_and_loses_nothing() {
    let pipeline = Pipeline::prepare(shared_stack().await, "").await.unwrap();
    let target = pipeline.stack().clickhouse().url.trim_start_matches("http://").to_owned();
    let proxy = FaultProxy::start(&target).unwrap();
    let url = format!("http://{}", proxy.address());
    let sink = sink_with(&pipeline, &[("OUTCRY_CLICKHOUSE__URL", &url)]);
    sink.wait_ready(PATIENCE).await.unwrap();
    let mut ledger = publish(&pipeline, 51, 50).await;
    all_stored_once(&pipeline, &ledger).await;
    proxy.set(Fault::Off);
    ledger.extend(publish(&pipeline, 52, 200).await);
    sink.wait_health_saying(503, "is ClickHouse running at", PATIENCE).await.unwrap();
    let before = sink.log().lines().count();
    tokio::time::sleep(outage()).await;
    let said = sink.log().lines().count() - before;
    let tries = outage().as_secs() as usize * 4 + 30;
    assert!(said < tries, "it backs off: {said} lines in {:?}\n{}", outage(), sink.log_end());
    proxy.set(Fault::None);
    sink.wait_ready(PATIENCE).await.unwrap();
    all_stored_once(&pipeline, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_with_the_setting_and_not_printed() {
    let pipeline = Pipeline::prepare(shared_stack().await, "").await.unwrap();
    let ledger = publish(&pipeline, 53, 20).await;
    let sink = sink_with(&pipeline, &[("OUTCRY_CLICKHOUSE__PASSWORD", "canary-of-a-wrong-password")]);
    let said = sink.wait_health_saying(503, "[clickhouse] username and password", PATIENCE).await.unwrap();
    assert!(!said.contains("canary") && !sink.log().contains("canary"), "{said}\n{}", sink.log_end());
    sink.terminate(Duration::from_secs(25)).await.unwrap();
    let right = sink_with(&pipeline, &[]);
    right.wait_ready(PATIENCE).await.unwrap();
    all_stored_once(&pipeline, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_tables_are_waited_for_until_somebody_migrates() {
    let stack = shared_stack().await;
    let pipeline = Pipeline::prepare(stack, "").await.unwrap();
    let ledger = publish(&pipeline, 54, 20).await;
    let empty = stack.fresh_database().await.unwrap();
    let sink = sink_with(&pipeline, &[("OUTCRY_CLICKHOUSE__DATABASE", &empty)]);
    sink.wait_health_saying(503, "outcry migrate", PATIENCE).await.unwrap();
    let config = outcry_warehouse::ClickHouseConfig {
        url: stack.clickhouse().url.clone(),
        database: empty.clone(),
        username: "migrator".into(),
        password: stack.clickhouse().passwords.migrator.as_str().into(),
    };
    outcry_warehouse::migrate(&config).await.unwrap();
    sink.wait_ready(PATIENCE).await.unwrap();
    let view = outcry_tests::View::new(stack, &empty);
    let begun = std::time::Instant::now();
    while view.number("SELECT count() FROM {db}.items").await.unwrap() < ledger.len() as u64 {
        assert!(begun.elapsed() < PATIENCE, "the items are not stored after the migration: {}", sink.log_end());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // A table that goes while the sink writes is waited for in the same way.
    let away = |from: &str, to: &str| format!("RENAME TABLE {{db}}.{from} TO {{db}}.{to}");
    view.ask_as("migrator", &away("stored_items", "put_away")).await.unwrap();
    let later = publish(&pipeline, 55, 20).await;
    sink.wait_health_saying(503, "outcry migrate", PATIENCE).await.unwrap();
    view.ask_as("migrator", &away("put_away", "stored_items")).await.unwrap();
    sink.wait_ready(PATIENCE).await.unwrap();
    let all = (ledger.len() + later.len()) as u64;
    let begun = std::time::Instant::now();
    while view.number("SELECT count() FROM {db}.items").await.unwrap() < all {
        assert!(begun.elapsed() < PATIENCE, "the items are not stored: {}", sink.log_end());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(view.number("SELECT count() FROM {db}.stored_items").await.unwrap(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topics_are_waited_for_until_somebody_migrates() {
    let pipeline = Pipeline::prepare(shared_stack().await, "").await.unwrap();
    let prefix = outcry_sandbox::fresh_prefix();
    let elsewhere = [("OUTCRY_KAFKA__TOPIC_PREFIX", prefix.as_str())];
    let sink = sink_with(&pipeline, &elsewhere);
    sink.wait_health_saying(503, "outcry migrate", PATIENCE).await.unwrap();
    let kafka = outcry_kafka::KafkaConfig::new(pipeline.stack().bootstrap(), prefix.clone());
    outcry_kafka::ensure_topics(&kafka).await.unwrap();
    let publisher = outcry_kafka::Publisher::new(&kafka, "tests").unwrap();
    let row = with_classification(Generator::new("acme", 56).item(1), category_of(1));
    publisher.publish_json(Topic::ItemsClassified, &row.item.case_id.to_string(), &row).await.unwrap();
    sink.wait_ready(PATIENCE).await.unwrap();
    all_stored_once(&pipeline, &BTreeSet::from([row.item.item_id.to_string()])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_ten_megabytes_is_stored_whole_and_what_follows_too() {
    let pipeline = classified("").await;
    let mut large = Generator::new("acme", 57).item(1);
    large.text = "The parcel is late and nobody answers. ".repeat(10 * 1024 * 1024 / 39);
    let publisher = pipeline.publisher().unwrap();
    publisher.publish_json(Topic::ItemsRaw, &large.case_id.to_string(), &large).await.unwrap();
    let mut ledger = pipeline.publish_items(&Generator::new("acme", 58), 0..50).await.unwrap();
    ledger.insert(large.item_id.to_string());
    all_stored_once(&pipeline, &ledger).await;
    let length = format!("SELECT length(text) FROM {{db}}.items WHERE item_id = '{}'", large.item_id);
    assert_eq!(pipeline.number(&length).await.unwrap(), large.text.len() as u64);
    for name in [CLASSIFIER, SINK] {
        pipeline.service(name).check_runs().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clickhouse_restored_from_an_older_backup_is_told_with_the_way_to_read_again() {
    let pipeline = Pipeline::prepare(shared_stack().await, "").await.unwrap();
    let sink = sink_with(&pipeline, &[]);
    let mut ledger = publish(&pipeline, 59, 60).await;
    all_stored_once(&pipeline, &ledger).await;
    sink.terminate(Duration::from_secs(25)).await.unwrap();
    // A restart over tables that hold everything says nothing.
    let quiet = sink_with(&pipeline, &[]);
    ledger.extend(publish(&pipeline, 60, 60).await);
    all_stored_once(&pipeline, &ledger).await;
    quiet.terminate(Duration::from_secs(25)).await.unwrap();
    assert!(!quiet.log().contains("older backup"), "{}", quiet.log_end());

    // What a backup of some time ago holds: the first rows of each partition.
    let restore = "ALTER TABLE {db}.stored_items DELETE WHERE kafka_offset >= 5 SETTINGS mutations_sync = 1";
    pipeline.ask_as("migrator", restore).await.unwrap();
    let sink = sink_with(&pipeline, &[]);
    ledger.extend(publish(&pipeline, 61, 60).await);
    let begun = std::time::Instant::now();
    let all = pipeline.kafka();
    let partitions = outcry_kafka::group_positions(&all, "sink", Topic::ItemsClassified).await.unwrap().len();
    while told_positions(&sink.log()).len() < partitions {
        assert!(begun.elapsed() < PATIENCE, "the sink does not say so: {}", sink.log_end());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = sink.log();
    let told = log.lines().find(|line| line.contains("older backup")).unwrap();
    assert!(told.contains("ERROR") && told.contains("`outcry reread "), "{told}");
    let metrics = sink.metrics().await.unwrap();
    assert!(metrics.contains("outcry_sink_committed_rows_missing_total"), "{metrics}");
    sink.terminate(Duration::from_secs(25)).await.unwrap();

    // The command that it names: what is missing is stored, and nothing twice.
    let command = told.split('`').nth(1).unwrap().to_owned();
    let positions = told_positions(&log);
    let topic = command.split(' ').nth(2).unwrap();
    let config = pipeline.config();
    let arguments = [&["reread", topic], &positions[..], &["--config", config.to_str().unwrap()]].concat();
    let said = binary::run("outcry", &arguments, &[], PATIENCE * 2).await.unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let again = sink_with(&pipeline, &[]);
    again.wait_ready(PATIENCE).await.unwrap();
    all_stored_once(&pipeline, &ledger).await;
    assert!(!again.log()[log.len()..].contains("older backup"), "{}", again.log_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_that_is_released_has_no_failpoints_and_no_wrong_ways_to_write() {
    let pipeline = Pipeline::prepare(shared_stack().await, "").await.unwrap();
    let points = ["polled", "encoded", "before_insert", "after_insert", "before_commit", "fence_taken", "read_back"];
    let points = points.map(|point| format!("sink::{point}=return(0)")).join(";");
    // `token` would write without taking the fence.
    let sink = sink_with(&pipeline, &[("FAILPOINTS", &points), ("OUTCRY_SINK_CONTROL", "token")]);
    sink.wait_ready(PATIENCE).await.unwrap();
    let ledger = publish(&pipeline, 62, 40).await;
    all_stored_once(&pipeline, &ledger).await;
    sink.check_runs().unwrap();
    assert!(pipeline.number("SELECT count() FROM {db}.sink_fence").await.unwrap() > 0, "no fence was taken");
    let program = std::fs::read(binary::find(SINK).unwrap()).unwrap();
    // Searched as text, which the standard library does fast in a debug build too.
    let program = String::from_utf8_lossy(&program);
    let carries = |text: &str| program.contains(text);
    assert!(!carries("OUTCRY_SINK_CONTROL") && !carries("FAILPOINTS"), "it reads what only tests set");
    assert!(carries("outcry_sink_inserts_total"), "the program is not read as it should be");
}

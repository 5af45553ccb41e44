//! The consumer loop and the publisher against librdkafka's in-process cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use outcry_domain::{DeadLetter, Timestamp};
use outcry_kafka::{
    BatchLimits, Checkpoints, ConsumerOptions, KafkaConfig, Outcome, Outgoing, Partition, PartitionWorker,
    PublishError, Publisher, Record, Topic, WorkerStop, for_each_record, read_record, retained, run_partitions,
    scan_batches,
};
use outcry_runtime::Context;
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(partitions: i32) -> (Cluster, KafkaConfig) {
    let cluster = MockCluster::new(1).unwrap();
    let config = KafkaConfig { session_timeout_ms: 6000, ..KafkaConfig::new(cluster.bootstrap_servers(), "t.") };
    for topic in Topic::ALL {
        let count = if topic == Topic::ItemsRaw { partitions } else { 1 };
        cluster.create_topic(&config.topic_name(topic), count, 1).unwrap();
    }
    (cluster, config)
}

async fn publish_numbers(publisher: &Publisher, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let payload = number.to_string().into_bytes();
        publisher.publish(Topic::ItemsRaw, &format!("key-{number}"), payload).await.unwrap();
    }
}

fn number(record: &Record) -> usize {
    std::str::from_utf8(&record.payload).unwrap().parse().unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_handled_once_and_a_second_run_goes_on_where_the_first_ended() {
    let (_cluster, config) = cluster(3);
    let publisher = Publisher::new(&config, "test").unwrap();
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    for range in [0..50, 50..80] {
        publish_numbers(&publisher, range.clone()).await;
        let context = Context::for_tests();
        let record_seen = Arc::clone(&seen);
        let (run_config, run_publisher, run_context) = (config.clone(), publisher.clone(), context.clone());
        let run = tokio::spawn(async move {
            for_each_record(&run_config, "g", &[Topic::ItemsRaw], &run_publisher, &run_context, move |record| {
                record_seen.lock().unwrap().push(number(&record));
                async { Outcome::Done }
            })
            .await
        });
        until("all handled", || seen.lock().unwrap().len() >= range.end).await;
        context.shutdown.cancel();
        run.await.unwrap().unwrap();
    }
    let mut all = seen.lock().unwrap().clone();
    all.sort_unstable();
    assert_eq!(all, (0..80).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_record_is_in_dead_letters_and_the_next_is_handled() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    publish_numbers(&publisher, 0..5).await;
    let context = Context::for_tests();
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    let (run_config, run_publisher, run_context) = (config.clone(), publisher.clone(), context.clone());
    let run = tokio::spawn(async move {
        for_each_record(&run_config, "g", &[Topic::ItemsRaw], &run_publisher, &run_context, move |record| {
            let outcome = match number(&record) {
                2 => Outcome::Reject { reason: "odd", detail: "it is two".into() },
                _ => Outcome::Done,
            };
            counted.fetch_add(1, Ordering::SeqCst);
            async { outcome }
        })
        .await
    });
    until("all handled", || done.load(Ordering::SeqCst) == 5).await;
    context.shutdown.cancel();
    run.await.unwrap().unwrap();
    let stored = read_record(&config, &config.topic_name(Topic::DeadLetters), 0, 0).await.unwrap().unwrap();
    assert_eq!(stored.payload, b"2");
    let letter = stored.dead_letter().unwrap();
    assert_eq!((letter.reason.as_str(), letter.origin.as_str(), letter.offset), ("odd", "t.items.raw", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_the_order() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    publish_numbers(&publisher, 0..4).await;
    let context = Context::for_tests();
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let record_seen = Arc::clone(&seen);
    let (run_config, run_publisher, run_context) = (config.clone(), publisher.clone(), context.clone());
    let run = tokio::spawn(async move {
        for_each_record(&run_config, "g", &[Topic::ItemsRaw], &run_publisher, &run_context, move |record| {
            let mut seen = record_seen.lock().unwrap();
            seen.push(number(&record));
            let tries = seen.iter().filter(|number| **number == 1).count();
            let outcome =
                if number(&record) == 1 && tries < 3 { Outcome::Retry("not yet".into()) } else { Outcome::Done };
            async { outcome }
        })
        .await
    });
    until("all handled", || seen.lock().unwrap().contains(&3)).await;
    context.shutdown.cancel();
    run.await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 1, 1, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_partition_stays_and_the_others_go_on() {
    let (_cluster, config) = cluster(2);
    let publisher = Publisher::new(&config, "test").unwrap();
    publish_numbers(&publisher, 0..40).await;
    let context = Context::for_tests();
    let seen: Arc<Mutex<BTreeMap<i32, usize>>> = Arc::default();
    let record_seen = Arc::clone(&seen);
    let (run_config, run_publisher, run_context) = (config.clone(), publisher.clone(), context.clone());
    let run = tokio::spawn(async move {
        for_each_record(&run_config, "g", &[Topic::ItemsRaw], &run_publisher, &run_context, move |record| {
            let outcome = match record.partition {
                0 => Outcome::Fatal("schema version 9".into()),
                _ => Outcome::Done,
            };
            *record_seen.lock().unwrap().entry(record.partition).or_default() += 1;
            async { outcome }
        })
        .await
    });
    until("the held partition shows", || {
        let problems = context.health.problems();
        problems.get("consumer g").is_some_and(|problem| problem.contains("schema version 9"))
    })
    .await;
    let other = || seen.lock().unwrap().get(&1).copied().unwrap_or_default();
    until("the other partition goes on", || other() > 5).await;
    publish_numbers(&publisher, 40..80).await;
    let before = other();
    until("the other partition goes on", || other() > before).await;
    assert_eq!(seen.lock().unwrap()[&0], 1, "the held partition was read on");
    context.shutdown.cancel();
    run.await.unwrap().unwrap();
}

/// Fails once in the middle, after it completed a part out of order.
struct FailsOnce {
    failed: AtomicUsize,
    seen: Arc<Mutex<Vec<i64>>>,
}

impl PartitionWorker for FailsOnce {
    async fn work(&self, mut partition: Partition) -> Result<(), WorkerStop> {
        while let Some(records) = partition.next().await {
            for record in records {
                self.seen.lock().unwrap().push(record.offset);
                if record.offset == 6 && self.failed.fetch_add(1, Ordering::SeqCst) == 0 {
                    return Err(WorkerStop::Restart("once".into()));
                }
                // Offset 4 is left open the first time: everything above it must come again.
                if record.offset != 4 || self.failed.load(Ordering::SeqCst) > 0 {
                    partition.complete(record.offset);
                }
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_worker_begins_at_the_frontier() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    publish_numbers(&publisher, 0..10).await;
    let context = Context::for_tests();
    let seen: Arc<Mutex<Vec<i64>>> = Arc::default();
    let worker = FailsOnce { failed: AtomicUsize::new(0), seen: Arc::clone(&seen) };
    let (run_config, run_context) = (config.clone(), context.clone());
    let run = tokio::spawn(async move {
        run_partitions(&run_config, ConsumerOptions::new("g", &[Topic::ItemsRaw]), &run_context, worker).await
    });
    until("the end", || seen.lock().unwrap().contains(&9)).await;
    context.shutdown.cancel();
    run.await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9]);
}

/// Never completes anything.
struct Hoarder(Arc<AtomicUsize>);

impl PartitionWorker for Hoarder {
    async fn work(&self, mut partition: Partition) -> Result<(), WorkerStop> {
        while let Some(records) = partition.next().await {
            self.0.fetch_add(records.iter().map(Record::size).sum::<usize>(), Ordering::SeqCst);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_complete_is_not_flooded() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    let topic = config.topic_name(Topic::ItemsRaw);
    for _ in 0..300 {
        let record = Outgoing { topic: topic.clone(), payload: vec![7; 100_000], ..Outgoing::default() };
        publisher.publish_record(record).await.unwrap();
    }
    let context = Context::for_tests();
    let held = Arc::new(AtomicUsize::new(0));
    let worker = Hoarder(Arc::clone(&held));
    let mut options = ConsumerOptions::new("g", &[Topic::ItemsRaw]);
    options.max_outstanding_bytes = 1024 * 1024;
    let (run_config, run_context) = (config.clone(), context.clone());
    let run = tokio::spawn(async move { run_partitions(&run_config, options, &run_context, worker).await });
    until("it reads", || held.load(Ordering::SeqCst) > 1024 * 1024).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let bytes = held.load(Ordering::SeqCst);
    assert!(bytes < 20_000_000, "{bytes} bytes were handed out with 1 MB allowed");
    context.shutdown.cancel();
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_survive_and_are_told_apart_by_owner() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    let first = Checkpoints::open(&config, &publisher, "email:support").await.unwrap();
    assert_eq!(first.get::<u64>("INBOX"), None);
    for uid in [3u64, 9] {
        first.save("INBOX", &uid).await.unwrap();
    }
    let other = Checkpoints::open(&config, &publisher, "email:supp").await.unwrap();
    assert_eq!(other.keys(), Vec::<String>::new());
    let again = Checkpoints::open(&config, &publisher, "email:support").await.unwrap();
    assert_eq!((again.get::<u64>("INBOX"), again.keys()), (Some(9), vec!["INBOX".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_told_at_once_and_its_dead_letter_is_cut() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    let large = vec![b'x'; 13 * 1024 * 1024];
    let error = publisher.publish(Topic::ItemsRaw, "k", large.clone()).await.unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { .. }), "{error}");
    let letter = DeadLetter {
        service: "test".into(),
        reason: "too_large".into(),
        detail: "13 MB".into(),
        origin: "email:support".into(),
        partition: -1,
        offset: -1,
        received_at: Timestamp::from_seconds(1),
        refused_at: Timestamp::from_seconds(2),
    };
    publisher.dead_letter(&letter, None, &large).await.unwrap();
    let stored = read_record(&config, &config.topic_name(Topic::DeadLetters), 0, 0).await.unwrap().unwrap();
    assert!(stored.payload.len() > 11 * 1024 * 1024);
    assert!(stored.dead_letter().unwrap().detail.contains("of 13631488 bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_read_in_batches_no_faster_than_they_are_taken() {
    let (_cluster, config) = cluster(3);
    let topic = config.topic_name(Topic::ItemsRaw);
    assert_eq!(retained(&config, &topic).await.unwrap().since_ms, None, "an empty topic promises nothing");
    publish_numbers(&Publisher::new(&config, "test").unwrap(), 0..25).await;
    let kept = retained(&config, &topic).await.unwrap();
    assert!(
        kept.records == 25 && !kept.cut && kept.since_ms.is_some_and(|since| since > 1_700_000_000_000),
        "{kept:?}"
    );
    let odd = |record: Record| Some(number(&record)).filter(|number| number % 2 == 1);
    let mut batches = scan_batches(&config, &topic, BatchLimits { rows: 5, bytes: usize::MAX }, odd);
    let mut read = Vec::new();
    while let Some(batch) = batches.recv().await {
        let batch = batch.unwrap();
        assert!(batch.len() <= 5, "{batch:?}");
        read.extend(batch);
    }
    read.sort_unstable();
    assert_eq!(read, (1..25).step_by(2).collect::<Vec<_>>());

    let looked_at = Arc::new(AtomicUsize::new(0));
    let counted = looked_at.clone();
    let every = move |record: Record| {
        counted.fetch_add(1, Ordering::SeqCst);
        Some(record)
    };
    let mut batches = scan_batches(&config, &topic, BatchLimits { rows: 100, bytes: 1 }, every);
    assert_eq!(batches.recv().await.unwrap().unwrap().len(), 1, "a record fills the room for one byte");
    drop(batches);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let seen = looked_at.load(Ordering::SeqCst);
    assert!(seen <= 4, "nobody listens, and {seen} records were read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_removed_stays_removed() {
    let (_cluster, config) = cluster(1);
    let publisher = Publisher::new(&config, "test").unwrap();
    let open = || Checkpoints::open(&config, &publisher, "email:support");
    let checkpoints = open().await.unwrap();
    checkpoints.save("INBOX", &7).await.unwrap();
    checkpoints.save("Sent", &8).await.unwrap();
    checkpoints.remove("INBOX").await.unwrap();
    for opened in [checkpoints, open().await.unwrap()] {
        assert_eq!((opened.get::<u32>("INBOX"), opened.get::<u32>("Sent")), (None, Some(8)));
    }
}

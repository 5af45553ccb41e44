//! A topic from its beginning to what is its end now.

use crate::{KafkaConfig, KafkaError, Record};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a single record for this long, the brokers are taken to be gone.
const STALL: Duration = Duration::from_secs(30);
/// What librdkafka may read ahead of whoever takes the records.
const READ_AHEAD_KBYTES: u32 = 16 * 1024;

/// Reads the topic of that full name to its present end, or until `each` breaks; partitions in parallel, each in order. Blocks.
fn scan_blocking(
    config: &KafkaConfig,
    topic: &str,
    mut each: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<(), KafkaError> {
    let failed = |source| config.error(format!("reading {topic}"), source);
    let consumer = consumer(config, topic)?;
    let mut ends = open(config, &consumer, topic)?;
    let name: Arc<str> = topic.into();
    let mut heard = Instant::now();
    while !ends.is_empty() {
        if heard.elapsed() > STALL {
            let (doing, brokers) = (format!("reading {topic}"), config.bootstrap_servers.clone());
            return Err(KafkaError::Timeout { doing, brokers, seconds: STALL.as_secs() });
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(message) => {
                let message = message.map_err(failed)?;
                // What was appended after the scan began is left for the next one.
                let Some(end) = ends.get(&message.partition()).copied() else { continue };
                if message.offset() < end && each(Record::copy(&message, Arc::clone(&name))).is_break() {
                    return Ok(());
                }
                // After `each`, which may take its time.
                heard = Instant::now();
                if message.offset() + 1 >= end {
                    ends.remove(&message.partition());
                }
            }
            // The position moves past records that compaction removed, where no message would tell us.
            None => {
                let positions = consumer.position().map_err(failed)?;
                ends.retain(|partition, end| {
                    let position = positions.find_partition(topic, *partition).map(|found| found.offset());
                    !matches!(position, Some(Offset::Offset(reached)) if reached >= *end)
                });
            }
        }
    }
    Ok(())
}

fn consumer(config: &KafkaConfig, topic: &str) -> Result<BaseConsumer, KafkaError> {
    config
        .client("scan")
        .set("group.id", format!("{}scan", config.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", READ_AHEAD_KBYTES.to_string())
        .create()
        .map_err(|source| config.error(format!("reading {topic}"), source))
}

/// First and next offset of every partition.
fn watermarks(config: &KafkaConfig, consumer: &BaseConsumer, topic: &str) -> Result<Vec<(i32, i64, i64)>, KafkaError> {
    let failed = |source| config.error(format!("reading {topic}"), source);
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(failed)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: Vec<i32> =
        found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default();
    if partitions.is_empty() {
        let (topic, brokers) = (topic.to_owned(), config.bootstrap_servers.clone());
        return Err(KafkaError::MissingTopic { topic, brokers });
    }
    let mut found = Vec::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).map_err(failed)?;
        found.push((partition, low, high));
    }
    Ok(found)
}

/// Assigns every partition that holds anything, from its beginning; gives their ends.
fn open(config: &KafkaConfig, consumer: &BaseConsumer, topic: &str) -> Result<HashMap<i32, i64>, KafkaError> {
    let failed = |source| config.error(format!("reading {topic}"), source);
    let (mut ends, mut assignment) = (HashMap::new(), TopicPartitionList::new());
    for (partition, low, high) in watermarks(config, consumer, topic)? {
        if high > low {
            ends.insert(partition, high);
            assignment.add_partition_offset(topic, partition, Offset::Offset(low)).map_err(failed)?;
        }
    }
    consumer.assign(&assignment).map_err(failed)?;
    Ok(ends)
}

/// [`scan_blocking`] off the async threads, collecting what `pick` keeps.
pub async fn scan<T: Send + 'static>(
    config: &KafkaConfig,
    topic: &str,
    pick: impl Fn(Record) -> Option<T> + Send + 'static,
) -> Result<Vec<T>, KafkaError> {
    let (reader, name) = (config.clone(), topic.to_owned());
    let work = tokio::task::spawn_blocking(move || {
        let mut kept = Vec::new();
        scan_blocking(&reader, &name, |record| {
            kept.extend(pick(record));
            ControlFlow::Continue(())
        })?;
        Ok(kept)
    });
    work.await.unwrap_or_else(|_| Err(stopped(config, topic)))
}

/// How much [`scan_batches`] hands over at once.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Values.
    pub rows: usize,
    /// Bytes of the records they were picked from; one record more may be in.
    pub bytes: usize,
}

/// [`scan`] for topics that do not fit into memory: batches of what `pick` keeps, read no faster than they are taken. The
/// last message is an error if the end was not reached. Dropping the receiver ends the reading.
pub fn scan_batches<T: Send + 'static>(
    config: &KafkaConfig,
    topic: &str,
    limits: BatchLimits,
    mut pick: impl FnMut(Record) -> Option<T> + Send + 'static,
) -> mpsc::Receiver<Result<Vec<T>, KafkaError>> {
    let (sender, receiver) = mpsc::channel(1);
    let (reader, name) = (config.clone(), topic.to_owned());
    tokio::task::spawn_blocking(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let read = scan_blocking(&reader, &name, |record| {
            let size = record.size();
            let Some(picked) = pick(record) else { return ControlFlow::Continue(()) };
            batch.push(picked);
            bytes += size;
            if batch.len() < limits.rows && bytes < limits.bytes {
                return ControlFlow::Continue(());
            }
            bytes = 0;
            match sender.blocking_send(Ok(std::mem::take(&mut batch))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        // Nobody listens any more: nobody to tell.
        let _ = match read {
            Ok(()) if batch.is_empty() => return,
            Ok(()) => sender.blocking_send(Ok(batch)),
            Err(error) => sender.blocking_send(Err(error)),
        };
    });
    receiver
}

/// What a topic still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Records, about: offsets that a compaction removed count too.
    pub records: u64,
    /// Every record produced at this time or later is there, ms since 1970; `None` if none can be promised.
    pub since_ms: Option<i64>,
    /// Retention, or somebody, removed what was before.
    pub cut: bool,
}

/// How far back the topic of that full name reaches. A topic that does not exist holds nothing.
pub async fn retained(config: &KafkaConfig, topic: &str) -> Result<Retained, KafkaError> {
    let (reader, name) = (config.clone(), topic.to_owned());
    let work = tokio::task::spawn_blocking(move || match retained_blocking(&reader, &name) {
        Err(KafkaError::MissingTopic { .. }) => Ok(Retained { records: 0, since_ms: None, cut: true }),
        other => other,
    });
    work.await.unwrap_or_else(|_| Err(stopped(config, topic)))
}

/// What retention deleted was older than the first record left of its partition. A partition that begins at offset 0 lost
/// nothing since the topic was made, and the first record of all is the first sign that it was.
fn retained_blocking(config: &KafkaConfig, topic: &str) -> Result<Retained, KafkaError> {
    let consumer = consumer(config, topic)?;
    let (mut records, mut first_of_all, mut cut_until, mut lost) = (0, None, None, false);
    for (partition, low, high) in watermarks(config, &consumer, topic)? {
        records += u64::try_from(high - low).unwrap_or_default();
        if high == 0 {
            continue;
        }
        let first = if high > low { first_time(config, &consumer, topic, partition, low)? } else { None };
        match first {
            Some(first) => {
                first_of_all = Some(first_of_all.map_or(first, |known: i64| known.min(first)));
                if low > 0 {
                    cut_until = cut_until.max(Some(first));
                }
            }
            None => lost = true,
        }
    }
    let since_ms = if lost { None } else { cut_until.max(first_of_all) };
    Ok(Retained { records, since_ms, cut: lost || cut_until.is_some() })
}

fn first_time(
    config: &KafkaConfig,
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    low: i64,
) -> Result<Option<i64>, KafkaError> {
    let failed = |source| config.error(format!("reading {topic}"), source);
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(low)).map_err(failed)?;
    consumer.assign(&assignment).map_err(failed)?;
    let message = consumer.poll(STALL).transpose().map_err(failed)?;
    Ok(message.and_then(|message| message.timestamp().to_millis()).filter(|millis| *millis > 0))
}

fn stopped(config: &KafkaConfig, topic: &str) -> KafkaError {
    let (doing, brokers) = (format!("reading {topic}"), config.bootstrap_servers.clone());
    KafkaError::Timeout { doing, brokers, seconds: STALL.as_secs() }
}

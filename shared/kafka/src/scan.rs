//! A topic from its beginning to what is its end now.

use crate::{KafkaConfig, KafkaError, Record};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a single record for this long, the brokers are taken to be gone.
const STALL: Duration = Duration::from_secs(30);

/// Reads the topic of that full name to its present end; partitions in parallel, each in order. Blocks.
pub(crate) fn scan_blocking(config: &KafkaConfig, topic: &str, mut each: impl FnMut(Record)) -> Result<(), KafkaError> {
    let failed = |source| config.error(format!("reading {topic}"), source);
    let consumer: BaseConsumer = config
        .client("scan")
        .set("group.id", format!("{}scan", config.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .map_err(failed)?;
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
                heard = Instant::now();
                // What was appended after the scan began is left for the next one.
                let Some(end) = ends.get(&message.partition()).copied() else { continue };
                if message.offset() < end {
                    each(Record::copy(&message, Arc::clone(&name)));
                }
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

/// Assigns every partition that holds anything, from its beginning; gives their ends.
fn open(config: &KafkaConfig, consumer: &BaseConsumer, topic: &str) -> Result<HashMap<i32, i64>, KafkaError> {
    let failed = |source| config.error(format!("reading {topic}"), source);
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(failed)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: Vec<i32> =
        found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default();
    if partitions.is_empty() {
        let (topic, brokers) = (topic.to_owned(), config.bootstrap_servers.clone());
        return Err(KafkaError::MissingTopic { topic, brokers });
    }
    let (mut ends, mut assignment) = (HashMap::new(), TopicPartitionList::new());
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).map_err(failed)?;
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
        scan_blocking(&reader, &name, |record| kept.extend(pick(record)))?;
        Ok(kept)
    });
    work.await.unwrap_or_else(|_| {
        let (doing, brokers) = (format!("reading {topic}"), config.bootstrap_servers.clone());
        Err(KafkaError::Timeout { doing, brokers, seconds: STALL.as_secs() })
    })
}

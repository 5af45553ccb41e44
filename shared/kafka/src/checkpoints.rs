//! Where a source was left off: one compacted topic, keyed by owner and key.
//!
//! A checkpoint is written after what it covers was delivered. A crash in between repeats records, whose ids make that
//! harmless; a checkpoint never runs ahead of what it stands for.

use crate::{KafkaConfig, KafkaError, PublishError, Publisher, Topic};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const READ_BUDGET: Duration = Duration::from_secs(120);

/// The checkpoints of one owner, such as `email:support`.
pub struct Checkpoints {
    publisher: Publisher,
    owner: String,
    values: Mutex<HashMap<String, Vec<u8>>>,
}

impl Checkpoints {
    /// Reads the owner's checkpoints to the end of the topic.
    pub async fn open(config: &KafkaConfig, publisher: &Publisher, owner: &str) -> Result<Self, KafkaError> {
        let (reader, prefix) = (config.clone(), format!("{owner}/"));
        let timeout = KafkaError::Timeout {
            doing: format!("reading the checkpoints of {owner}"),
            brokers: config.bootstrap_servers.clone(),
            seconds: READ_BUDGET.as_secs(),
        };
        let values = tokio::task::spawn_blocking(move || read(&reader, &prefix)).await.unwrap_or(Err(timeout))?;
        Ok(Self { publisher: publisher.clone(), owner: owner.to_owned(), values: Mutex::new(values) })
    }

    /// The checkpoint of that key, if there is one of that form.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.get(key)?;
        serde_json::from_slice(value)
            .inspect_err(
                |error| tracing::error!(owner = self.owner, %error, "a checkpoint cannot be read; starting over"),
            )
            .ok()
    }

    /// Every key there is.
    pub fn keys(&self) -> Vec<String> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Stores a checkpoint; durable when this returns.
    pub async fn save<T: Serialize>(&self, key: &str, value: &T) -> Result<(), PublishError> {
        let payload = serde_json::to_vec(value).map_err(|error| PublishError::Unserialisable {
            topic: Topic::Checkpoints.as_str().to_owned(),
            problem: error.to_string(),
        })?;
        self.publisher.publish(Topic::Checkpoints, &format!("{}/{key}", self.owner), payload.clone()).await?;
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), payload);
        Ok(())
    }
}

fn read(config: &KafkaConfig, prefix: &str) -> Result<HashMap<String, Vec<u8>>, KafkaError> {
    let doing = || format!("reading the checkpoints of {prefix}");
    let topic = config.topic_name(Topic::Checkpoints);
    let consumer: BaseConsumer = config
        .client("checkpoints")
        .set("group.id", format!("{}checkpoints", config.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .create()
        .map_err(|source| config.error(doing(), source))?;
    let metadata =
        consumer.fetch_metadata(Some(&topic), REQUEST_TIMEOUT).map_err(|source| config.error(doing(), source))?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic)
        .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
        .collect();
    if partitions.is_empty() {
        return Err(KafkaError::MissingTopic { topic, brokers: config.bootstrap_servers.clone() });
    }
    let mut ends = HashMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        let (low, high) = consumer
            .fetch_watermarks(&topic, partition, REQUEST_TIMEOUT)
            .map_err(|source| config.error(doing(), source))?;
        if high > low {
            ends.insert(partition, high);
            assignment
                .add_partition_offset(&topic, partition, Offset::Offset(low))
                .map_err(|source| config.error(doing(), source))?;
        }
    }
    let mut values = HashMap::new();
    consumer.assign(&assignment).map_err(|source| config.error(doing(), source))?;
    let started = Instant::now();
    while !ends.is_empty() {
        if started.elapsed() > READ_BUDGET {
            let brokers = config.bootstrap_servers.clone();
            return Err(KafkaError::Timeout { doing: doing(), brokers, seconds: READ_BUDGET.as_secs() });
        }
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.map_err(|source| config.error(doing(), source))?;
            let key =
                message.key().and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.strip_prefix(prefix));
            if let Some(key) = key {
                match message.payload() {
                    Some(value) => values.insert(key.to_owned(), value.to_vec()),
                    None => values.remove(key),
                };
            }
        }
        // The position moves past records that compaction removed, where no message would tell us.
        let positions = consumer.position().map_err(|source| config.error(doing(), source))?;
        ends.retain(|partition, end| {
            let position = positions.find_partition(&topic, *partition).map(|found| found.offset());
            !matches!(position, Some(Offset::Offset(reached)) if reached >= *end)
        });
    }
    Ok(values)
}

//! How far a consumer group has committed, seen from outside it.

use crate::{KafkaConfig, KafkaError, Topic};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};
use std::{collections::BTreeMap, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(15);

/// One partition as a group left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupPosition {
    /// The next offset that the group will read; `None` if it never committed.
    pub committed: Option<i64>,
    /// The next offset that a producer will get.
    pub end: i64,
}

impl GroupPosition {
    /// Records that the group has not committed.
    pub fn lag(&self) -> i64 {
        self.end - self.committed.unwrap_or(0)
    }
}

/// Where a group (named as in [`crate::ConsumerOptions::group`]) stands in every partition of a topic. It does not join the group.
pub async fn group_positions(
    config: &KafkaConfig,
    group: &str,
    topic: Topic,
) -> Result<BTreeMap<i32, GroupPosition>, KafkaError> {
    let group = format!("{}{group}", config.topic_prefix);
    let (config, topic) = (config.clone(), config.topic_name(topic));
    let doing = format!("asking how far {group} is in {topic}");
    let late = KafkaError::Timeout { doing, brokers: config.bootstrap_servers.clone(), seconds: TIMEOUT.as_secs() };
    tokio::task::spawn_blocking(move || read(&config, &group, &topic)).await.unwrap_or(Err(late))
}

/// Sets where a group (named as above) reads on, by partition; refused while the group has a member.
pub async fn rewind_group(
    config: &KafkaConfig,
    group: &str,
    topic: Topic,
    positions: &[(i32, i64)],
) -> Result<(), KafkaError> {
    let group = format!("{}{group}", config.topic_prefix);
    let (config, topic, positions) = (config.clone(), config.topic_name(topic), positions.to_vec());
    let doing = format!("setting where {group} reads on in {topic}");
    let late = KafkaError::Timeout {
        doing: doing.clone(),
        brokers: config.bootstrap_servers.clone(),
        seconds: TIMEOUT.as_secs(),
    };
    let work = move || {
        let failed = |source| config.error(doing.clone(), source);
        let mut settings = config.client("rewind");
        settings.set("group.id", group).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = settings.create().map_err(failed)?;
        let mut wished = TopicPartitionList::new();
        for (partition, offset) in positions {
            wished.add_partition_offset(&topic, partition, Offset::Offset(offset)).map_err(failed)?;
        }
        consumer.commit(&wished, CommitMode::Sync).map_err(failed)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(late))
}

fn read(config: &KafkaConfig, group: &str, topic: &str) -> Result<BTreeMap<i32, GroupPosition>, KafkaError> {
    let failed = |source| config.error(format!("asking how far {group} is in {topic}"), source);
    let consumer: BaseConsumer = config
        .client("positions")
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()
        .map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
    let mut asked = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        asked.add_partition(topic, partition.id());
    }
    if asked.count() == 0 {
        return Err(KafkaError::MissingTopic { topic: topic.to_owned(), brokers: config.bootstrap_servers.clone() });
    }
    let committed = consumer.committed_offsets(asked, TIMEOUT).map_err(failed)?;
    let mut positions = BTreeMap::new();
    for element in committed.elements() {
        let (_, end) = consumer.fetch_watermarks(topic, element.partition(), TIMEOUT).map_err(failed)?;
        let committed = match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        positions.insert(element.partition(), GroupPosition { committed, end });
    }
    Ok(positions)
}

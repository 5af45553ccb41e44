//! One record, by its position: what a dead letter needs when only an offset is left.

use crate::{KafkaConfig, KafkaError, Record};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};
use std::time::{Duration, Instant};

const BUDGET: Duration = Duration::from_secs(30);

/// The record at that position; `None` if it is no longer there, or not yet.
pub async fn read_record(
    config: &KafkaConfig,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Record>, KafkaError> {
    let (reader, name) = (config.clone(), topic.to_owned());
    let timeout = KafkaError::Timeout {
        doing: format!("reading {topic}/{partition}@{offset}"),
        brokers: config.bootstrap_servers.clone(),
        seconds: BUDGET.as_secs(),
    };
    match tokio::task::spawn_blocking(move || read(&reader, &name, partition, offset)).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) | Err(_) => Err(timeout),
    }
}

fn read(config: &KafkaConfig, topic: &str, partition: i32, offset: i64) -> Option<Result<Option<Record>, KafkaError>> {
    let open = || {
        let mut settings = config.client("reader");
        settings.set("group.id", format!("{}reader", config.topic_prefix)).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = settings.create()?;
        // Beyond either end a consumer would wait for ever, or jump to where nobody asked.
        match consumer.fetch_watermarks(topic, partition, BUDGET) {
            Ok((low, high)) if (low..high).contains(&offset) => {}
            Ok(_) | Err(ClientError::MetadataFetch(RDKafkaErrorCode::UnknownPartition)) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        consumer.assign(&assignment)?;
        Ok(Some(consumer))
    };
    let failed = |source| Some(Err(config.error(format!("reading {topic}/{partition}@{offset}"), source)));
    let consumer = match open() {
        Ok(Some(consumer)) => consumer,
        Ok(None) => return Some(Ok(None)),
        Err(source) => return failed(source),
    };
    let started = Instant::now();
    while started.elapsed() < BUDGET {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.offset() == offset => {
                return Some(Ok(Some(Record::copy(&message, topic.into()))));
            }
            Some(Ok(_)) => return Some(Ok(None)),
            Some(Err(source)) => return failed(source),
            None => {}
        }
    }
    None
}

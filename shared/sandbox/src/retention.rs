//! What retention does to a topic, at once: for tests of what comes after.

use crate::error::{Doing, Result};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Deletes every record that the topic of that full name holds now; offsets go on where they were.
///
/// # Errors
/// When the broker does not answer or the topic does not exist.
pub async fn delete_records(bootstrap: &str, topic: &str) -> Result<()> {
    let (brokers, name) = (bootstrap.to_owned(), topic.to_owned());
    let everything = tokio::task::spawn_blocking(move || ends(&brokers, &name)).await;
    let doing = format!("deleting the records of {topic}");
    let everything = everything.map_err(std::io::Error::other).while_doing(&*doing)?;
    let everything = everything.map_err(std::io::Error::other).while_doing(&*doing)?;
    let deleted = async {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
        admin.delete_records(&everything, &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await
    };
    deleted.await.map_err(std::io::Error::other).while_doing(&*doing).map(drop)
}

fn ends(bootstrap: &str, topic: &str) -> rdkafka::error::KafkaResult<TopicPartitionList> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT)?;
    let mut ends = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (_, end) = client.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        ends.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
    }
    Ok(ends)
}

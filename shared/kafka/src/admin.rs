//! Topics: which there are, and how they are kept.

use crate::{KafkaConfig, KafkaError, Topic, config::MAX_RECORD_BYTES};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    types::RDKafkaErrorCode,
};
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How one topic is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Full name.
    pub name: String,
    /// Partitions.
    pub partitions: u16,
    /// Settings of the broker.
    pub settings: Vec<(&'static str, String)>,
}

impl TopicSettings {
    /// The settings of one of our topics. Items and case events are kept for ever: Kafka is the log of record.
    pub fn of(config: &KafkaConfig, topic: Topic) -> Self {
        let partitions = match topic {
            Topic::ItemsRaw | Topic::ItemsClassified => config.partitions,
            Topic::CaseEvents | Topic::SourceCoverage | Topic::DeadLetters | Topic::Checkpoints => 1,
        };
        let mut settings = vec![("max.message.bytes", MAX_RECORD_BYTES.to_string())];
        if topic == Topic::Checkpoints {
            settings.push(("cleanup.policy", "compact".into()));
        } else {
            settings.push(("cleanup.policy", "delete".into()));
            settings.push(("retention.ms", "-1".into()));
        }
        Self { name: config.topic_name(topic), partitions, settings }
    }
}

fn admin(config: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    config.client("admin").create().map_err(|source| config.error("making an admin client", source))
}

/// Creates the topics that are missing; those that exist are left as they are. Gives the names of the new ones.
pub async fn ensure_topics(config: &KafkaConfig) -> Result<Vec<String>, KafkaError> {
    let admin = admin(config)?;
    let wanted: Vec<TopicSettings> = Topic::ALL.iter().map(|topic| TopicSettings::of(config, *topic)).collect();
    let new_topics: Vec<NewTopic<'_>> = wanted
        .iter()
        .map(|topic| {
            let replication = TopicReplication::Fixed(i32::from(config.replication));
            let new = NewTopic::new(&topic.name, i32::from(topic.partitions), replication);
            topic.settings.iter().fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
    let results =
        admin.create_topics(&new_topics, &options).await.map_err(|source| config.error("creating topics", source))?;
    let mut created = Vec::new();
    for result in results {
        match result {
            Ok(name) => created.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let source = rdkafka::error::KafkaError::AdminOp(code);
                return Err(config.error(format!("creating the topic {name}"), source));
            }
        }
    }
    Ok(created)
}

/// Asks the brokers who they are and whether our topics exist: what `outcry check` wants to know.
pub async fn check_brokers(config: &KafkaConfig) -> Result<Vec<String>, KafkaError> {
    let config = config.clone();
    let brokers = config.bootstrap_servers.clone();
    let task = tokio::task::spawn_blocking(move || {
        let admin = admin(&config)?;
        let metadata = admin
            .inner()
            .fetch_metadata(None, Duration::from_secs(10))
            .map_err(|source| config.error("asking for the topics", source))?;
        let known: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        let missing = Topic::ALL.iter().map(|topic| config.topic_name(*topic));
        Ok(missing.filter(|name| !known.contains(&name.as_str())).collect())
    });
    task.await
        .unwrap_or_else(|_| Err(KafkaError::Timeout { doing: "asking for the topics".into(), brokers, seconds: 10 }))
}

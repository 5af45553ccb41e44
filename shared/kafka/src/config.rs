//! `[kafka]`: where the brokers are, and what the topics are called.

use crate::KafkaError;
use outcry_runtime::Secret;
use rdkafka::ClientConfig;
use serde::Deserialize;
use std::path::PathBuf;

/// `[kafka]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Comma-separated `host:port`.
    pub bootstrap_servers: String,
    /// Put before every topic and consumer group, so that two installations can share a cluster.
    #[serde(default = "default_prefix")]
    pub topic_prefix: String,
    /// How to connect.
    #[serde(default)]
    pub security: Security,
    /// SASL user (SCRAM-SHA-512).
    #[serde(default)]
    pub username: String,
    /// SASL password.
    #[serde(default)]
    pub password: Secret,
    /// Certificate authority of the brokers, if it is not one of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Lasting name of this replica (`group.instance.id`): a restart then takes its partitions back at once, instead of
    /// after the session timeout. Two replicas of one service must not share it.
    #[serde(default)]
    pub instance_id: Option<String>,
    /// After this long without a heartbeat a consumer counts as gone.
    #[serde(default = "default_session_timeout_ms")]
    pub session_timeout_ms: u32,
    /// Partitions of the topics of items when `outcry migrate` creates them; an existing topic is left as it is.
    #[serde(default = "default_partitions")]
    pub partitions: u16,
    /// Copies of each topic when `outcry migrate` creates them.
    #[serde(default = "default_replication")]
    pub replication: u16,
}

fn default_prefix() -> String {
    "outcry.".into()
}

fn default_session_timeout_ms() -> u32 {
    45_000
}

fn default_partitions() -> u16 {
    4
}

fn default_replication() -> u16 {
    1
}

/// How to connect to the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Neither encrypted nor authenticated: for one machine.
    #[default]
    Plaintext,
    /// TLS with host name verification, SCRAM-SHA-512.
    SaslSsl,
}

/// The topics of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Items as connectors made them.
    ItemsRaw,
    /// Items with their classification.
    ItemsClassified,
    /// What people posted about cases.
    CaseEvents,
    /// What sources listed, and what was produced.
    SourceCoverage,
    /// What was refused.
    DeadLetters,
    /// Where sources were left off; compacted.
    Checkpoints,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 6] = [
        Self::ItemsRaw,
        Self::ItemsClassified,
        Self::CaseEvents,
        Self::SourceCoverage,
        Self::DeadLetters,
        Self::Checkpoints,
    ];

    /// The name without prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ItemsRaw => "items.raw",
            Self::ItemsClassified => "items.classified",
            Self::CaseEvents => "case.events",
            Self::SourceCoverage => "source.coverage",
            Self::DeadLetters => "dead.letters",
            Self::Checkpoints => "checkpoints",
        }
    }
}

/// No record is larger than this, on any topic; brokers must allow it.
pub(crate) const MAX_RECORD_BYTES: u32 = 12 * 1024 * 1024;

impl KafkaConfig {
    /// A configuration that names brokers and prefix and leaves the rest at its default.
    pub fn new(bootstrap_servers: impl Into<String>, topic_prefix: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic_prefix: topic_prefix.into(),
            security: Security::Plaintext,
            username: String::new(),
            password: Secret::default(),
            ca_file: None,
            instance_id: None,
            session_timeout_ms: default_session_timeout_ms(),
            partitions: default_partitions(),
            replication: default_replication(),
        }
    }

    /// The topic's full name.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.as_str())
    }

    /// The topic of that full name.
    pub fn topic_of_name(&self, name: &str) -> Option<Topic> {
        let bare = name.strip_prefix(&self.topic_prefix)?;
        Topic::ALL.into_iter().find(|topic| topic.as_str() == bare)
    }

    /// What every client of this installation sets.
    pub(crate) fn client(&self, client: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", format!("outcry-{client}"))
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "30000");
        if self.security == Security::SaslSsl {
            config
                .set("security.protocol", "sasl_ssl")
                .set("sasl.mechanism", "SCRAM-SHA-512")
                .set("sasl.username", &self.username)
                .set("sasl.password", self.password.expose())
                .set("ssl.endpoint.identification.algorithm", "https");
            if let Some(file) = &self.ca_file {
                config.set("ssl.ca.location", file.display().to_string());
            }
        }
        config
    }

    /// An error that names what was done and to which brokers.
    pub(crate) fn error(&self, doing: impl Into<String>, source: rdkafka::error::KafkaError) -> KafkaError {
        KafkaError::Client { doing: doing.into(), brokers: self.bootstrap_servers.clone(), source: Box::new(source) }
    }
}

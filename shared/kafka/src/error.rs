//! What can go wrong, and what to do about it.

/// A client could not be made, or a request to the brokers failed.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The brokers or the client library refused.
    #[error("{doing} at Kafka {brokers}: {source}. Is the broker up, and is kafka.bootstrap_servers right?")]
    Client {
        /// What was being done.
        doing: String,
        /// To which brokers.
        brokers: String,
        /// What the library said.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// A topic that must exist does not.
    #[error("topic {topic} does not exist at Kafka {brokers}; create it with `outcry migrate`")]
    MissingTopic {
        /// Its full name.
        topic: String,
        /// The brokers.
        brokers: String,
    },
    /// The brokers did not answer in time.
    #[error(
        "{doing} at Kafka {brokers}: no answer within {seconds} s. Is the broker up, and is kafka.bootstrap_servers right?"
    )]
    Timeout {
        /// What was being done.
        doing: String,
        /// To which brokers.
        brokers: String,
        /// How long was waited.
        seconds: u64,
    },
}

impl KafkaError {
    /// A group's offsets cannot be set from outside while it has a member.
    pub fn is_group_in_use(&self) -> bool {
        use rdkafka::error::RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress, UnknownMemberId};
        let Self::Client { source, .. } = self else { return false };
        matches!(source.rdkafka_error_code(), Some(UnknownMemberId | IllegalGeneration | RebalanceInProgress))
    }

    /// A label of low cardinality.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Client { .. } => "client",
            Self::MissingTopic { .. } => "missing_topic",
            Self::Timeout { .. } => "timeout",
        }
    }
}

/// A record was not delivered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// Larger than any record may be; it will never be delivered.
    #[error(
        "a record of {bytes} bytes for {topic} is larger than a record may be ({} bytes)",
        crate::config::MAX_RECORD_BYTES
    )]
    TooLarge {
        /// Topic.
        topic: String,
        /// Size of the value.
        bytes: usize,
    },
    /// It cannot be written as JSON.
    #[error("writing a record for {topic} as JSON: {problem}")]
    Unserialisable {
        /// Topic.
        topic: String,
        /// What serde said.
        problem: String,
    },
    /// The brokers or the client library refused it; worth another try.
    #[error("publishing to {topic}: {problem}")]
    Undelivered {
        /// Topic.
        topic: String,
        /// What the library said.
        problem: String,
        /// The producer that took it cannot be used any more.
        fatal: bool,
    },
}

impl PublishError {
    /// A label of low cardinality.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Unserialisable { .. } => "unserialisable",
            Self::Undelivered { fatal: true, .. } => "fatal",
            Self::Undelivered { .. } => "undelivered",
        }
    }

    /// `true` when trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Undelivered { .. })
    }
}

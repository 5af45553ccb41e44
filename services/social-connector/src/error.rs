//! What can go wrong while reading a network.

use outcry_domain::Timestamp;
use std::time::Duration;

/// A request to a network failed, or its answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer: connection, TLS, time-out.
    #[error("asking {endpoint} failed: {reason}; it is tried again")]
    Unreachable {
        /// Path asked, without its query.
        endpoint: String,
        /// Why, without the address.
        reason: String,
    },
    /// The server's own trouble (5xx), or an answer that is not one of the API.
    #[error("{endpoint} answered {status}; it is tried again")]
    ServerTrouble {
        /// Path asked.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
    /// Too many requests; nothing is asked before `until`.
    #[error("{endpoint}: the allowance is used up until {until}; waiting")]
    RateLimited {
        /// Path asked.
        endpoint: String,
        /// When to ask again.
        until: Timestamp,
    },
    /// The token is not accepted, or lacks a scope.
    #[error("{endpoint} answered {status}: give social.accounts.token a valid token with read scopes")]
    Refused {
        /// Path asked.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
    /// The address is wrong, or the server is not of this network.
    #[error(
        "{endpoint} answered {status}, and not as the API does: check social.accounts.base_url and what stands before it"
    )]
    WrongAddress {
        /// Path asked.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
    /// The API itself says, in its documented form, that there is no such thing. Any other 404 is a [`Self::WrongAddress`]:
    /// a proxy's, perhaps, while the server behind it is being replaced.
    #[error("{endpoint} answered {status}: there is no such thing, or it is not for this token to see")]
    NotThere {
        /// Path asked.
        endpoint: String,
        /// HTTP status: 404 or 410.
        status: u16,
    },
    /// More bytes than any honest answer has.
    #[error("the answer of {endpoint} exceeds {limit} bytes; it is not read")]
    TooLarge {
        /// Path asked.
        endpoint: String,
        /// The bound.
        limit: usize,
    },
    /// Not the JSON that the API documents.
    #[error("the answer of {endpoint} is not what the API documents: {reason}")]
    Undecodable {
        /// Path asked.
        endpoint: String,
        /// Where it departs; never the payload.
        reason: String,
    },
}

impl FetchError {
    /// Low-cardinality name for metrics and logs.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::ServerTrouble { .. } => "server_trouble",
            Self::RateLimited { .. } => "rate_limited",
            Self::Refused { .. } => "refused",
            Self::WrongAddress { .. } => "wrong_address",
            Self::NotThere { .. } => "not_there",
            Self::TooLarge { .. } => "too_large",
            Self::Undecodable { .. } => "undecodable",
        }
    }

    /// A person must change something; asking again quickly is no use.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::WrongAddress { .. } | Self::NotThere { .. })
    }
}

/// A pass over an account ended early. Nothing is lost: the next pass starts from the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The broker did not take an item or a checkpoint.
    #[error("producing what was read failed: {0}")]
    Publish(#[from] outcry_kafka::PublishError),
    /// The broker did not say where the account was left off.
    #[error("reading where the account was left off: {0}")]
    Checkpoints(#[from] outcry_kafka::KafkaError),
    /// An item cannot be written as JSON.
    #[error("an item cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// The service is stopping.
    #[error("stopping")]
    Stopping,
}

impl PassError {
    /// Low-cardinality name for metrics and logs.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.metric_label(),
            Self::Publish(_) => "publish",
            Self::Checkpoints(_) => "checkpoints",
            Self::Encode(_) => "encode",
            Self::Stopping => "stopping",
        }
    }

    /// The shortest wait before the next try.
    pub fn least_wait(&self, now: Timestamp) -> Duration {
        /// A person takes longer than this to change a token.
        const PERSON: Duration = Duration::from_secs(30);
        match self {
            Self::Fetch(FetchError::RateLimited { until, .. }) => {
                Duration::from_millis(u64::try_from(until.millis_since(now)).unwrap_or(0))
            }
            Self::Fetch(error) if error.needs_a_person() => PERSON,
            _ => Duration::ZERO,
        }
    }
}

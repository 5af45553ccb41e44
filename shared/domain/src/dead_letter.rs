//! What was refused, with everything needed to look at it and to send it again.

use crate::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A record or payload that could not be used, and why. Its bytes are kept as they came.
///
/// The bytes travel as the value of the Kafka record and this description in its headers, so that nothing is re-encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The service that refused it.
    pub service: String,
    /// Short and countable: `undecodable`, `too_large`, `unknown_account`, ….
    pub reason: String,
    /// What exactly was wrong, for a person. Never the payload.
    pub detail: String,
    /// Topic it was read from; for what never reached Kafka, the source, such as `phone:main`.
    pub origin: String,
    /// Partition it was read from; -1 if none.
    pub partition: i32,
    /// Offset it was read from; -1 if none.
    pub offset: i64,
    /// When the record was produced, or the payload received.
    pub received_at: Timestamp,
    /// When it was refused.
    pub refused_at: Timestamp,
}

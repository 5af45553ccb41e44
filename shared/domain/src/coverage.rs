//! The proof that nothing was skipped: what a source listed against what was produced.

use crate::{Channel, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One window of one source. A later record of the same source, scope and window replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Version of this envelope; see [`crate::SCHEMA_VERSION`].
    pub schema_version: u16,
    /// The brand's id.
    pub brand: String,
    /// The source's channel.
    pub channel: Channel,
    /// The configured account; the Kafka key.
    pub source: String,
    /// The part of the source, such as a folder; empty when it has no parts.
    #[serde(default)]
    pub scope: String,
    /// First instant covered.
    pub window_start: Timestamp,
    /// First instant after it.
    pub window_end: Timestamp,
    /// What the source listed.
    pub listed: u64,
    /// What was produced, or was there already.
    pub produced: u64,
    /// What is missing.
    pub missing: u64,
    /// What is missing, by the source's own names; at most 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_examples: Vec<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was compared.
    pub checked_at: Timestamp,
    /// Fields that a newer producer wrote and this version does not know; kept on replay.
    #[serde(flatten)]
    pub unknown_fields: serde_json::Map<String, serde_json::Value>,
}

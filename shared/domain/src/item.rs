//! The item: the smallest fact received, immutable.

use crate::{Call, CaseId, ContactId, Customer, ItemId, Mail, Post, SCHEMA_VERSION, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a contact reached the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A mailbox.
    Email,
    /// Calls.
    Phone,
    /// Public networks, reviews and feeds.
    Social,
}

impl Channel {
    /// The channel's name on the wire, in columns and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Social => "social",
        }
    }
}

/// Who spoke to whom: the customer to the brand, or the brand to the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the customer.
    Inbound,
    /// From the brand; response times come from these.
    Outbound,
}

impl Direction {
    /// The direction's name on the wire and in columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Whether a person wrote it. What is automatic never counts as a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorKind {
    /// A person.
    Human,
    /// A machine: out-of-office, bounce, receipt, newsletter, bot.
    Automatic,
    /// The source does not tell.
    Unknown,
}

impl AuthorKind {
    /// The kind's name on the wire and in columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Automatic => "automatic",
            Self::Unknown => "unknown",
        }
    }
}

/// Where an item comes from, down to the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Connector and its release, such as `email-connector 0.1.0`.
    pub connector: String,
    /// Size of the raw payload in bytes.
    pub raw_size: u64,
    /// SHA-256 of the raw payload, hexadecimal.
    pub raw_sha256: String,
    /// The item was read from the past on request: it triggers no acknowledgement and no alert.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backfill: bool,
    /// Some of the payload was too large to be kept in the item.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Where the source keeps the original, such as `INBOX;UIDVALIDITY=1;UID=7` or a recording's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

/// One mail, one version of a post (or its deletion), or one event of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// Version of this envelope; see [`SCHEMA_VERSION`].
    pub schema_version: u16,
    /// Identity of the fact.
    pub item_id: ItemId,
    /// Identity of what a person would count.
    pub contact_id: ContactId,
    /// Identity of the customer's conversation; the Kafka key.
    pub case_id: CaseId,
    /// Orders the items of one contact: version time of a post in ms, sequence or time of a call event, 0 for a mail.
    pub revision: i64,
    /// The brand's id in the configuration.
    pub brand: String,
    /// How it came.
    pub channel: Channel,
    /// The configured account, such as `email:support`, `phone:main` or `social:mastodon-acme`.
    pub source: String,
    /// The kind of account: `imap`, `twilio`, `standard`, `mastodon`, ….
    pub provider: String,
    /// From the customer, or from the brand.
    pub direction: Direction,
    /// A person or a machine.
    pub author_kind: AuthorKind,
    /// The customer, whoever wrote: the recipient when the item is outbound.
    pub customer: Customer,
    /// Subject line, where the channel has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// New text only: what was quoted and the signature are removed.
    #[serde(default)]
    pub text: String,
    /// What was removed from the text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quoted_text: String,
    /// BCP 47 tag as the source states it; the classifier's own finding stands in the classification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The source's own time, from the payload and never from our clock; 1970-01-01 if it gives none.
    pub occurred_at: Timestamp,
    /// When the source's server had it: INTERNALDATE, webhook receipt, the platform's index.
    pub received_at: Timestamp,
    /// When we produced it.
    pub ingested_at: Timestamp,
    /// The time that metrics use; see [`effective_time`].
    pub effective_at: Timestamp,
    /// The source's time and the server's differ by more than seven days.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clock_suspect: bool,
    /// What only mail has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// What only a call has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// What only a post has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Post>,
    /// Where it comes from.
    pub origin: Origin,
    /// Fields that a newer producer wrote and this version does not know; kept on replay.
    #[serde(flatten)]
    pub unknown_fields: serde_json::Map<String, serde_json::Value>,
}

/// How far a source's clock may run ahead of the server's before it is not believed.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);
const SUSPECT_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// The time that metrics use, and whether the two clocks differ so much (seven days) that a person should look.
///
/// "Clock start" of the mission map: the server's time for mail, and whenever the source's clock is more than two
/// minutes ahead of it; else the source's own. A backfill prefers the source's own time, because the server's is then
/// the time of a migration. A source that gives no time has the server's.
pub fn effective_time(
    channel: Channel,
    occurred_at: Timestamp,
    received_at: Timestamp,
    backfill: bool,
) -> (Timestamp, bool) {
    if occurred_at.is_unknown() {
        return (received_at, false);
    }
    let apart = occurred_at.millis_since(received_at);
    let suspect = apart.unsigned_abs() > SUSPECT_AFTER.as_millis() as u64;
    let ahead = apart > CLOCK_TOLERANCE.as_millis() as i64;
    let server_decides = ahead || (channel == Channel::Email && !backfill);
    (if server_decides { received_at } else { occurred_at }, suspect)
}

impl Item {
    /// `true` when this reader understands the envelope.
    pub fn version_is_known(&self) -> bool {
        self.schema_version == SCHEMA_VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn mail_counts_from_the_servers_time_and_posts_from_their_own() {
        assert_eq!(effective_time(Channel::Email, at(1000), at(2000), false), (at(2000), false));
        assert_eq!(effective_time(Channel::Social, at(1000), at(2000), false), (at(1000), false));
    }

    #[test]
    fn a_clock_that_runs_ahead_is_not_believed() {
        assert_eq!(effective_time(Channel::Social, at(1121), at(1000), false), (at(1000), false));
        assert_eq!(effective_time(Channel::Social, at(1120), at(1000), false), (at(1120), false));
        assert_eq!(effective_time(Channel::Phone, at(4_000_000_000), at(1000), false), (at(1000), true));
    }

    #[test]
    fn a_backfilled_mail_keeps_its_own_date() {
        assert_eq!(effective_time(Channel::Email, at(1000), at(900_000_000), true), (at(1000), true));
    }

    #[test]
    fn a_source_without_a_time_has_the_servers() {
        assert_eq!(effective_time(Channel::Phone, Timestamp::UNKNOWN, at(5), true), (at(5), false));
    }
}

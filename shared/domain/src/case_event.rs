//! What only people know about a case, posted through the console or a CRM.

use crate::{CaseId, ContactId, CustomerId, EventId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something a person did or decided. Posting it twice counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseEvent {
    /// Version of this envelope; see [`crate::SCHEMA_VERSION`].
    pub schema_version: u16,
    /// Identity: from the caller's idempotency key, else from the content.
    pub event_id: EventId,
    /// The case it is about; the Kafka key.
    pub case_id: CaseId,
    /// The brand's id.
    pub brand: String,
    /// When it happened, as the caller says.
    pub occurred_at: Timestamp,
    /// When we produced it.
    pub ingested_at: Timestamp,
    /// The employee, as the organisation names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What happened.
    pub action: CaseAction,
    /// Fields that a newer producer wrote and this version does not know; kept on replay.
    #[serde(flatten)]
    pub unknown_fields: serde_json::Map<String, serde_json::Value>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CaseAction {
    /// An employee took the case.
    Taken,
    /// It is solved, and how.
    Solved {
        /// What was agreed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolution: Option<String>,
    },
    /// It is open again.
    Reopened,
    /// Something was promised.
    Commitment {
        /// What.
        text: String,
        /// By when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_at: Option<Timestamp>,
    },
    /// The customer was contacted again to see whether it held.
    FollowUp {
        /// What came of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Money or goods given.
    Compensation {
        /// Decimal in text.
        value: String,
        /// ISO 4217 code.
        currency: String,
    },
    /// How it could have been prevented.
    PreventionIdea {
        /// The idea.
        text: String,
    },
    /// What the customer says of the handling.
    Satisfaction {
        /// 1 to 5.
        score: u8,
    },
    /// A person corrects a label; it wins over any classifier.
    LabelCorrection {
        /// The contact.
        contact_id: ContactId,
        /// `kind`, `category`, `subcategory`, `urgency`, `sentiment`, or a custom axis.
        axis: String,
        /// The right label.
        label: String,
    },
    /// Two customers are one person.
    CustomerLink {
        /// One of them.
        customer_id: CustomerId,
        /// The other.
        same_as: CustomerId,
    },
    /// They are not, after all.
    CustomerUnlink {
        /// One of them.
        customer_id: CustomerId,
        /// The other.
        same_as: CustomerId,
    },
}

impl CaseAction {
    /// The name on the wire and in columns.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Solved { .. } => "solved",
            Self::Reopened => "reopened",
            Self::Commitment { .. } => "commitment",
            Self::FollowUp { .. } => "follow_up",
            Self::Compensation { .. } => "compensation",
            Self::PreventionIdea { .. } => "prevention_idea",
            Self::Satisfaction { .. } => "satisfaction",
            Self::LabelCorrection { .. } => "label_correction",
            Self::CustomerLink { .. } => "customer_link",
            Self::CustomerUnlink { .. } => "customer_unlink",
        }
    }
}

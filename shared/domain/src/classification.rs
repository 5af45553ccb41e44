//! What the classifier says of an item, and why.

use crate::Item;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$label_doc:meta])* $label:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$label_doc])* #[serde(rename = $text)] $label,)+
        }

        impl $name {
            /// Every label, in the taxonomy's order.
            pub const ALL: &'static [Self] = &[$(Self::$label,)+];

            /// The label's name on the wire, in columns and in data files.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$label => $text,)+
                }
            }

            /// The label of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|label| label.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

labels! {
    /// What a person wants with it: the first axis.
    Kind {
        /// Any oral or written expression of dissatisfaction (FCA).
        Complaint = "complaint",
        /// Asks something.
        Question = "question",
        /// Thanks or commends.
        Praise = "praise",
        /// Asks for something to be done.
        Request = "request",
        /// Unsolicited.
        Spam = "spam",
        /// The brand's own words.
        Own = "own",
    }
}

labels! {
    /// What it is about: level 1 of the taxonomy, the same for every brand (mission map, section 4).
    Category {
        /// Defective, not as described.
        ProductQuality = "product_quality",
        /// Outage, poor work.
        ServiceFailure = "service_failure",
        /// Late, wrong, partial, damaged.
        Delivery = "delivery",
        /// Double or unknown charge, debt collection.
        BillingPayment = "billing_payment",
        /// Refused, slow or partial redress.
        RefundReturn = "refund_return",
        /// Guarantee, spare parts.
        WarrantyRepair = "warranty_repair",
        /// Terms, cancel, switch.
        ContractCancellation = "contract_cancellation",
        /// Rude, wrong information, no ownership.
        StaffConduct = "staff_conduct",
        /// No answer, hold time, unreachable, ignored.
        ResponseAccess = "response_access",
        /// Promise not kept, advertising.
        MisleadingSales = "misleading_sales",
        /// Login, app, site.
        DigitalAccount = "digital_account",
        /// Data leak, scam, unauthorised use.
        PrivacyFraud = "privacy_fraud",
        /// Injury, contamination, hazard, recall.
        Safety = "safety",
        /// None of these; reviewed weekly.
        Other = "other",
    }
}

labels! {
    /// How fast someone must look: U4 to U1 of the mission map.
    Urgency {
        /// Minor, solved, no action asked.
        Low = "low",
        /// An ordinary complaint.
        Normal = "normal",
        /// Lawyer, regulator, press, a deadline, a vulnerable customer.
        High = "high",
        /// Injury, threat to life, live fraud, a breach of personal data.
        Critical = "critical",
    }
}

labels! {
    /// How the writer feels.
    Sentiment {
        /// Dissatisfied.
        Negative = "negative",
        /// Neither.
        Neutral = "neutral",
        /// Satisfied.
        Positive = "positive",
    }
}

/// Where a span of evidence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// In the subject.
    Subject,
    /// In the text.
    Text,
}

/// The words that caused a label. Offsets count characters (Unicode scalar values), end excluded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The axis it speaks for: `kind`, `category`, `subcategory`, `urgency`, `sentiment`, `amounts`, or a custom axis.
    pub axis: String,
    /// The label it speaks for.
    pub label: String,
    /// Where it stands.
    pub field: Field,
    /// First character.
    pub start: u32,
    /// One past the last character.
    pub end: u32,
    /// The signal's name, such as `safety.injury` or a lexicon entry.
    pub signal: String,
    /// What it added.
    pub weight: f32,
}

/// A label and how sure the classifier is, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scored<T> {
    /// The label.
    pub label: T,
    /// Calibrated where a trained model spoke, else by rule.
    pub confidence: f32,
}

/// A sum of money that the text names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// The value, as a decimal in text: money is not a binary fraction.
    pub value: String,
    /// ISO 4217 code.
    pub currency: String,
}

/// What the classifier says. Same input and same version, same output to the byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Classification {
    /// Release, taxonomy and model: `0.1.0+t1+rules`.
    pub classifier_version: String,
    /// Language found in the text, BCP 47; `und` if it cannot be told.
    pub language: Scored<String>,
    /// What the person wants.
    pub kind: Scored<Kind>,
    /// Exactly one primary category.
    pub category: Scored<Category>,
    /// At most three others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_categories: Vec<Scored<Category>>,
    /// Level 2, as the brand names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcategory: Option<Scored<String>>,
    /// Labels of the user's own axes (a queue, a product) by the axis' name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Scored<String>>,
    /// How fast someone must look.
    pub urgency: Scored<Urgency>,
    /// 0 to 100; `urgency` is its band.
    pub urgency_score: u8,
    /// How the writer feels.
    pub sentiment: Scored<Sentiment>,
    /// Sums of money named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Amount>,
    /// Below the threshold: a person should look before anyone relies on it.
    #[serde(default)]
    pub needs_review: bool,
    /// What caused each label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// Header of a record of `items.classified` that replaces the labels of an item of the past; its value is the classifier's
/// version. Nobody is written to because of it, and it is no news.
pub const RECLASSIFIED_HEADER: &str = "outcry.reclassified";

/// The value of `items.classified`: the item as it came, to the byte, and what the classifier says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassifiedItem {
    /// The item.
    pub item: Item,
    /// What the classifier says.
    pub classification: Classification,
}

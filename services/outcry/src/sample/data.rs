//! The sample's files as they are written: TOML with times as "so long ago".

use jiff::{Span, SpanRelativeTo, tz::TimeZone};
use outcry_domain::{
    Timestamp,
    classification::{Category, Kind, Urgency},
};
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeMap, time::Duration};

/// The bundled sample was edited into something that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A file is not TOML, or not of the shape expected.
    #[error("sample file {file}: {reason}")]
    File {
        /// Path below `services/outcry/sample`.
        file: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A key that nothing has.
    #[error("the sample refers to {0:?}, which no entry before it has as its key")]
    Reference(String),
    /// A charset that lacks a character, or is not known.
    #[error("the sample asks for charset {charset:?} in {key:?}, which cannot hold the text")]
    Charset {
        /// The charset's name.
        charset: String,
        /// Subject of the mail.
        key: String,
    },
}

/// How a person would label it: kind, category, urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What the writer wants.
    pub kind: Kind,
    /// What it is about.
    pub category: Category,
    /// How fast someone must look.
    pub urgency: Urgency,
}

impl<'de> Deserialize<'de> for Label {
    /// Reads `"complaint safety critical"`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind, category, urgency] = words[..] else {
            return Err(de::Error::custom(format!("{text:?} is not a kind, a category and an urgency")));
        };
        Ok(Self {
            kind: Kind::from_name(kind).ok_or_else(|| de::Error::custom(format!("{kind:?} is no kind")))?,
            category: Category::from_name(category)
                .ok_or_else(|| de::Error::custom(format!("{category:?} is no category")))?,
            urgency: Urgency::from_name(urgency)
                .ok_or_else(|| de::Error::custom(format!("{urgency:?} is no urgency")))?,
        })
    }
}

/// A length of time written as `3d 4h 20m`; days are of 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length(pub Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span: Span = text.parse().map_err(de::Error::custom)?;
        let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(de::Error::custom)?;
        Duration::try_from(exact).map(Self).map_err(de::Error::custom)
    }
}

/// One file of mails.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailFile {
    /// Language of every mail in it.
    pub language: String,
    /// Where its writers live.
    pub timezone: String,
    /// The mails.
    pub mail: Vec<Mail>,
}

/// A customer's mail and the brand's answers to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Name by which `replies_to` finds it.
    #[serde(default)]
    pub key: String,
    /// When it was sent.
    pub ago: Length,
    /// `Name <address>`.
    pub from: String,
    /// Local part of the brand's mailbox.
    #[serde(default = "support")]
    pub to: String,
    /// A second mailbox of the brand, which gets a copy of its own.
    #[serde(default)]
    pub also_to: Option<String>,
    /// Subject line; empty when it replies.
    #[serde(default)]
    pub subject: String,
    /// The writer's own words.
    pub text: String,
    /// How a person would label it; automatic mail has none.
    #[serde(default)]
    pub label: Option<Label>,
    /// Key of the mail whose latest answer (or itself) this replies to.
    #[serde(default)]
    pub replies_to: Option<String>,
    /// How the mail replied to is quoted.
    #[serde(default)]
    pub quote: Quote,
    /// Charset of headers and body.
    #[serde(default = "utf8")]
    pub charset: String,
    /// Content-Transfer-Encoding; by default the lightest that holds the text.
    #[serde(default)]
    pub transfer: Transfer,
    /// Whether there is an HTML body.
    #[serde(default)]
    pub html: Html,
    /// Names of files attached.
    #[serde(default)]
    pub attach: Vec<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A delivery report about the answer replied to.
    #[serde(default)]
    pub bounce: bool,
    /// What the brand answered.
    #[serde(default)]
    pub answer: Vec<Answer>,
}

/// What the brand answered.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// How long after the message above it.
    pub after: Length,
    /// The employee; empty on posts.
    #[serde(default)]
    pub agent: String,
    /// The words.
    pub text: String,
}

/// How a reply shows what it replies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quote {
    /// Not at all.
    #[default]
    None,
    /// One introducing line, then `>` before each line.
    Gmail,
    /// A block of header lines, then the text as it was.
    Outlook,
}

/// Content-Transfer-Encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transfer {
    /// `7bit` for ASCII, else quoted-printable.
    #[default]
    Auto,
    /// As it is, in seven bits.
    #[serde(rename = "7bit")]
    SevenBit,
    /// As it is, in eight bits.
    #[serde(rename = "8bit")]
    EightBit,
    /// RFC 2045 §6.7.
    QuotedPrintable,
    /// RFC 2045 §6.8.
    Base64,
}

/// Whether there is an HTML body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Html {
    /// Plain text only.
    #[default]
    No,
    /// `multipart/alternative`.
    Both,
    /// HTML only.
    Only,
}

/// One file of calls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFile {
    /// Language spoken.
    pub language: String,
    /// The brand's number in that country.
    pub number: String,
    /// The calls.
    pub call: Vec<Call>,
}

/// One call; `call.rs` makes its events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// When it began.
    pub ago: Length,
    /// The customer's number, or `anonymous`.
    pub from: String,
    /// The customer's name, where the provider knows it.
    #[serde(default)]
    pub name: Option<String>,
    /// What came of it.
    #[serde(default)]
    pub outcome: Outcome,
    /// The brand called the customer.
    #[serde(default)]
    pub outbound: bool,
    /// What the caller chose in the menu.
    #[serde(default)]
    pub choice: Option<String>,
    /// Seconds in the queue.
    #[serde(default)]
    pub wait: u64,
    /// Who took it.
    #[serde(default)]
    pub agent: Option<String>,
    /// Seconds of talk.
    #[serde(default)]
    pub talk: u64,
    /// Seconds on hold.
    #[serde(default)]
    pub hold: u64,
    /// Words of the call or of the voicemail.
    #[serde(default)]
    pub transcript: Option<String>,
    /// What the agent wrote.
    #[serde(default)]
    pub note: Option<String>,
    /// How a person would label it.
    #[serde(default)]
    pub label: Option<Label>,
    /// Its webhooks are sent last first.
    #[serde(default)]
    pub reversed: bool,
    /// Its last webhook is sent twice.
    #[serde(default)]
    pub repeated: bool,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A person took it.
    #[default]
    Answered,
    /// The caller gave up in the queue.
    Abandoned,
    /// The caller left a message.
    Voicemail,
    /// Nobody took it.
    NoAnswer,
}

/// One file of posts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostFile {
    /// Language of every post in it.
    pub language: String,
    /// The posts.
    pub post: Vec<Post>,
}

/// A customer's post, what became of it, and the brand's answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// Name by which `replies_to` finds it.
    #[serde(default)]
    pub key: String,
    /// When it was published.
    pub ago: Length,
    /// `user@server`.
    pub author: String,
    /// Name shown.
    pub name: String,
    /// The words; `@marelda` becomes a mention.
    pub text: String,
    /// How a person would label it.
    #[serde(default)]
    pub label: Option<Label>,
    /// Followers of the author.
    #[serde(default)]
    pub followers: u64,
    /// Boosts.
    #[serde(default)]
    pub boosts: u64,
    /// Who may see it; `public` unless said.
    #[serde(default = "public")]
    pub visibility: String,
    /// Key of the post whose latest answer (or itself) this replies to.
    #[serde(default)]
    pub replies_to: Option<String>,
    /// A later version.
    #[serde(default)]
    pub edit: Option<Answer>,
    /// Taken down so long after publication.
    #[serde(default)]
    pub deleted_after: Option<Length>,
    /// What the brand answered.
    #[serde(default)]
    pub answer: Vec<Answer>,
}

fn support() -> String {
    "support".into()
}

fn utf8() -> String {
    "utf-8".into()
}

fn public() -> String {
    "public".into()
}

/// Parses one bundled file.
pub fn parse<T: de::DeserializeOwned>(file: &'static str, content: &str) -> Result<T, SampleError> {
    toml::from_str(content).map_err(|error| SampleError::File { file, reason: error.to_string() })
}

/// The moment of loading in a form that fits into ids.
pub fn stamp(now: Timestamp) -> String {
    format!("{:x}", now.as_millis())
}

/// The zone of that name, or UTC on a machine without the tz database: only the offset in a Date header depends on it.
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

//! What only one channel has: mail, calls, posts.

use crate::{Timestamp, item::is_false};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What only mail has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mail {
    /// Message-ID without its angle brackets; empty if the mail has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message_id: String,
    /// Message-IDs of In-Reply-To, without brackets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_reply_to: Vec<String>,
    /// Message-IDs of References, oldest first, without brackets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Author's address, normalised.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Where the author wants the answer, if elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<String>,
    /// Recipients, normalised.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Recipients of copies, normalised.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// What sort of mail this is, beyond a person writing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<AutomaticMail>,
    /// List-Id, or that of the mailing list otherwise named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_id: Option<String>,
    /// Precedence bulk, list or junk, or a List-Unsubscribe: suppresses our reply, not the complaint.
    #[serde(skip_serializing_if = "is_false")]
    pub bulk: bool,
    /// Message-ID of the mail that a delivery report is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounce_of: Option<String>,
    /// Why the mail came back, as an enhanced status code (RFC 3463): `5.1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounce_status: Option<String>,
    /// METHOD of an enclosed invitation or the answer to one (RFC 5546), lower case: `request`, `reply`, `cancel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// The true complainant stands in a mail forwarded by staff.
    #[serde(skip_serializing_if = "is_false")]
    pub forwarded_by_staff: bool,
    /// Signed or encrypted wrapper, kept as it came: `smime`, `pgp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<String>,
    /// What was attached; the bytes stay in the mailbox.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What was repaired or could not be read, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defects: Vec<String>,
}

/// Why a mail is not a person writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AutomaticMail {
    /// Out-of-office and other automatic answers (RFC 3834).
    AutoReply,
    /// Delivery report (RFC 3464) or a free-form bounce.
    Bounce,
    /// Disposition notification (RFC 8098).
    ReadReceipt,
    /// Sent by a machine without being an answer: no-reply senders, notifications.
    Notification,
}

impl AutomaticMail {
    /// The name on the wire and in columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AutoReply => "auto_reply",
            Self::Bounce => "bounce",
            Self::ReadReceipt => "read_receipt",
            Self::Notification => "notification",
        }
    }
}

/// An attachment's description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// File name, if it has one.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// SHA-256 of the decoded bytes, hexadecimal.
    pub sha256: String,
}

/// What happened in a call. What a provider calls otherwise and we do not know is `other`: kept, not dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallEventKind {
    /// The call exists.
    Started,
    /// It waits for an agent: what service levels count from.
    Queued,
    /// An agent's phone rings.
    Ringing,
    /// A person took it. An IVR's answer is not an answer.
    Answered,
    /// Put on hold.
    Held,
    /// Taken off hold.
    Resumed,
    /// Handed to another agent or queue.
    Transferred,
    /// Over, for whatever reason.
    Ended,
    /// The caller left a message.
    Voicemail,
    /// A recording is available.
    Recording,
    /// Words of the call are available.
    Transcript,
    /// An agent wrote something about it.
    Note,
    /// Something else.
    #[default]
    Other,
}

impl CallEventKind {
    /// The name on the wire and in columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Held => "held",
            Self::Resumed => "resumed",
            Self::Transferred => "transferred",
            Self::Ended => "ended",
            Self::Voicemail => "voicemail",
            Self::Recording => "recording",
            Self::Transcript => "transcript",
            Self::Note => "note",
            Self::Other => "other",
        }
    }
}

/// What only a call has. Each item is one event; the `calls` view folds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Call {
    /// The call's id at the provider: the linked one, with legs collapsed.
    pub call_id: String,
    /// The leg's id, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg_id: Option<String>,
    /// What happened.
    pub event: CallEventKind,
    /// The provider's own name of the event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_event: String,
    /// The provider's order of events, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// The caller's number as E.164, or as it came when it is not a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The number called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Queue or department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Who took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What the caller chose in the menu.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ivr_choice: Option<String>,
    /// Waiting before a person took it, as the provider states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Talking, as the provider states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talk_ms: Option<u64>,
    /// On hold, as the provider states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<u64>,
    /// The whole call, as the provider states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When it was answered, where an event states it after the fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// When it ended, where an event states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it began, where an event states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The caller gave up in the queue, where the provider states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<bool>,
    /// Why it ended: `completed`, `busy`, `no_answer`, `failed`, `canceled`, or the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Where the recording is; it is never fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_url: Option<String>,
    /// Words of the call, as the provider transcribed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// What the call cost, as the provider states it: amount and ISO currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What the provider says beyond this, by its own names.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub provider_fields: serde_json::Map<String, serde_json::Value>,
}

/// What happened to a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostEventKind {
    /// This version of it was published.
    #[default]
    Published,
    /// It is gone. Kept as a fact; its text is not shown.
    Deleted,
    /// It cannot be seen for now: suspended, protected, withheld. May be undone.
    Hidden,
}

impl PostEventKind {
    /// The name on the wire and in columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Deleted => "deleted",
            Self::Hidden => "hidden",
        }
    }
}

/// What only a post has. Each item is one version; the `contacts` view folds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Post {
    /// Identity across servers: a URI where the network has one.
    pub uri: String,
    /// What happened.
    pub event: PostEventKind,
    /// Where a person can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The author's handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// URI of the post that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// URI of the conversation's first post, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// URI of the post that this one repeats: reach, not a complaint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repost_of: Option<String>,
    /// `public`, `unlisted`, `private`, `direct`, as the network says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// Followers of the author when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// Reposts, quotes and likes when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engagement: Option<u64>,
    /// Stars of a review, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
    /// When this version was written, if it is an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
}

//! The parts of Mastodon's entities that we read, after mastodon/documentation `entities/Status.md`, `Notification.md`,
//! `Account.md`. Lenient where servers of the same API differ: what is not needed may be missing.

use outcry_domain::Timestamp;
use serde::Deserialize;

/// `Account`.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Local to the server that is asked.
    pub id: String,
    /// `ana` of our server, `ana@example.social` of another.
    pub acct: String,
    /// The profile's address: the one lasting name that an account and a mention of it have in common.
    #[serde(default)]
    pub url: Option<String>,
    /// The name shown.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Says of itself that a machine writes.
    #[serde(default)]
    pub bot: Option<bool>,
    /// Reach.
    #[serde(default)]
    pub followers_count: Option<i64>,
}

/// `Status::Mention`.
#[derive(Clone, Debug, Deserialize)]
pub struct Mention {
    /// Local to the server that is asked.
    pub id: String,
    /// As in [`Account`].
    pub acct: String,
    /// As in [`Account`].
    #[serde(default)]
    pub url: Option<String>,
}

/// What we read of the status inside a boost.
#[derive(Clone, Debug, Deserialize)]
pub struct Reblogged {
    /// Identity across servers.
    pub uri: String,
}

/// `Status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// Local to the server that is asked: opaque text, not a number.
    pub id: String,
    /// Identity across servers.
    pub uri: String,
    /// Where a person reads it.
    #[serde(default)]
    pub url: Option<String>,
    /// The author's clock, if the author is on another server.
    pub created_at: Timestamp,
    /// When this version was written, if it is not the first.
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    /// Local id of the post that this one answers.
    #[serde(default)]
    pub in_reply_to_id: Option<String>,
    /// Local id of its author.
    #[serde(default)]
    pub in_reply_to_account_id: Option<String>,
    /// `public`, `unlisted`, `private`, `direct`.
    #[serde(default)]
    pub visibility: Option<String>,
    /// As the author's client says.
    #[serde(default)]
    pub language: Option<String>,
    /// Content warning.
    #[serde(default)]
    pub spoiler_text: Option<String>,
    /// HTML.
    #[serde(default)]
    pub content: Option<String>,
    /// Who wrote it.
    pub account: Account,
    /// What it boosts.
    #[serde(default)]
    pub reblog: Option<Box<Reblogged>>,
    /// Who is named in it.
    #[serde(default)]
    pub mentions: Vec<Mention>,
    /// Boosts.
    #[serde(default)]
    pub reblogs_count: Option<i64>,
    /// Likes.
    #[serde(default)]
    pub favourites_count: Option<i64>,
    /// Quotes.
    #[serde(default)]
    pub quotes_count: Option<i64>,
}

impl Status {
    /// The time of this version.
    pub fn version_time(&self) -> Timestamp {
        self.edited_at.unwrap_or(self.created_at)
    }
}

/// `Notification` of type `mention`.
#[derive(Clone, Debug, Deserialize)]
pub struct Notification {
    /// Local; differs from the status's id.
    pub id: String,
    /// When our server learnt of it.
    pub created_at: Timestamp,
    /// The post; missing if it was deleted meanwhile.
    #[serde(default)]
    pub status: Option<Status>,
}

/// Only the id: enough to page past an element that cannot be read.
#[derive(Debug, Deserialize)]
pub struct Identified {
    /// Local id.
    pub id: String,
}

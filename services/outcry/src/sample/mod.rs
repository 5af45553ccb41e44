//! The bundled sample: one fictional brand, eight languages, three weeks of mail, calls and posts.
//!
//! The words lie in `services/outcry/sample/*.toml`, where times are written as "so long ago". [`Sample::load`] turns
//! them into what a front door takes: raw RFC 5322 messages for a mailbox, bodies of webhooks for the phone connector's
//! `standard` provider, statuses for a Mastodon-contract server. Pure: the clock is handed in, nothing is sent.
//!
//! Ids carry the moment of loading, so that loading the sample twice gives two sets of contacts and never two versions
//! of one fact.

mod call;
mod data;
mod mail;
mod mime;
mod post;
mod quote;
#[cfg(test)]
mod tests;

use outcry_domain::Timestamp;
use std::collections::BTreeSet;

pub use call::{Expect, SampleWebhook};
pub use data::SampleError;
pub use mail::{Folder, SampleMail};
pub use post::{PostKind, SamplePost};

/// The brand's id.
pub const BRAND_ID: &str = "marelda";
/// The brand's mail domain.
pub const DOMAIN: &str = "marelda.example";
/// Local parts of the brand's mailboxes; each has the folders `INBOX` and `Sent`.
pub const MAILBOXES: [&str; 2] = ["support", "info"];
/// The folder that holds what the brand sent.
pub const SENT_FOLDER: &str = "Sent";
/// The phone account, and so the last part of the webhook's path.
pub const PHONE_ACCOUNT: &str = "main";
/// The brand's handle on its own server.
pub const HANDLE: &str = "marelda";

/// Everything to be sent, and what must be found afterwards.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Mails, oldest first, to be appended with their internal date.
    pub mails: Vec<SampleMail>,
    /// Webhooks in the order of sending, which is not everywhere the order of events.
    pub calls: Vec<SampleWebhook>,
    /// Posts and what became of them, oldest first.
    pub posts: Vec<SamplePost>,
    /// What must be found afterwards.
    pub expected: Expected,
}

/// What must be found once everything was sent and the pipeline is at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Mail.
    pub email: Counts,
    /// Calls.
    pub phone: Counts,
    /// Posts.
    pub social: Counts,
    /// Bodies that no connector can read: each must be in dead letters.
    pub dead_letters: usize,
    /// Inbound mail conversations that a person began: what the notifier may acknowledge, once each.
    pub new_mail_cases: usize,
    /// Languages that customers write or speak in the sample.
    pub languages: BTreeSet<String>,
}

/// Numbers of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries: messages appended, webhooks sent, changes made to posts.
    pub sent: usize,
    /// Distinct facts: what `items` must hold if every delivery was seen. A server that only shows the present state of a
    /// post hides its earlier versions, so for posts this is the upper bound, and `contacts` the lower one.
    pub items: usize,
    /// Mails, calls and posts as a person counts them.
    pub contacts: usize,
}

impl Sample {
    /// The sample as it looks at `now`.
    #[expect(clippy::expect_used, reason = "the data are part of the program; a test loads them")]
    pub fn load(now: Timestamp) -> Self {
        Self::try_load(now).expect("the bundled sample is valid")
    }

    /// The same, with what is wrong with the data when they were edited.
    ///
    /// # Errors
    /// When a file does not parse, a reference leads nowhere, or a text cannot be written in the charset asked for.
    pub fn try_load(now: Timestamp) -> Result<Self, SampleError> {
        let mails = mail::build(now)?;
        let calls = call::build(now)?;
        let posts = post::build(now)?;
        let expected = Expected {
            email: mail::counts(&mails),
            phone: call::counts(&calls),
            social: post::counts(&posts),
            dead_letters: calls.iter().filter(|webhook| webhook.expect == Expect::DeadLetter).count(),
            new_mail_cases: mail::new_cases(&mails),
            languages: languages(&mails, &calls, &posts),
        };
        Ok(Self { mails, calls, posts, expected })
    }
}

fn languages(mails: &[SampleMail], calls: &[SampleWebhook], posts: &[SamplePost]) -> BTreeSet<String> {
    let mails = mails.iter().map(|mail| &mail.language);
    let calls = calls.iter().map(|call| &call.language);
    let posts = posts.iter().map(|post| &post.language);
    mails.chain(calls).chain(posts).filter(|language| !language.is_empty()).cloned().collect()
}

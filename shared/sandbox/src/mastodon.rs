//! A contract fake of a Mastodon server, for one brand's account: what `mastodon/documentation` says of
//! notifications, statuses, their history, paging and rate limits, and nothing more.
//!
//! Shapes follow the documented entities (`Status`, `Notification`, `StatusEdit`, `Account`, `V2::Instance`). Ids are
//! local to the server and ordered by time of arrival; `created_at` is the author's clock, so the two may disagree.

mod http;
mod json;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::background::{background, listen};
use crate::error::{Result, SandboxError};
use store::Store;

/// The account of the fake and its limits.
#[derive(Debug, Clone)]
pub struct MastodonOptions {
    /// The bearer token that is accepted.
    pub token: String,
    /// The brand's account name.
    pub username: String,
    /// Requests per five minutes; 300 as the real one, more for bulk tests.
    pub rate_limit: u32,
}

impl Default for MastodonOptions {
    fn default() -> Self {
        Self { token: "sandbox-token".to_owned(), username: "acme".to_owned(), rate_limit: 1_000_000 }
    }
}

/// A post to be added.
#[derive(Debug, Clone)]
pub struct NewStatus {
    /// `name` of a local account or `name@host` of a remote one.
    pub author: String,
    /// Plain text; it is wrapped into the HTML Mastodon sends, or kept as it is when it begins with `<`.
    pub text: String,
    /// The author's clock.
    pub created_at: Timestamp,
    /// The status it answers.
    pub in_reply_to: Option<String>,
    /// `public`, `unlisted`, `private` or `direct`.
    pub visibility: &'static str,
    /// ISO 639 code.
    pub language: Option<String>,
}

impl NewStatus {
    /// A public post.
    pub fn new(author: &str, text: &str, created_at: Timestamp) -> Self {
        Self {
            author: author.to_owned(),
            text: text.to_owned(),
            created_at,
            in_reply_to: None,
            visibility: "public",
            language: None,
        }
    }

    /// As an answer to another status.
    #[must_use]
    pub fn answering(mut self, status_id: &str) -> Self {
        self.in_reply_to = Some(status_id.to_owned());
        self
    }
}

/// The fake server; dropping it closes the port.
#[derive(Debug)]
pub struct MastodonServer {
    base_url: String,
    store: Arc<Mutex<Store>>,
    task: JoinHandle<()>,
}

impl MastodonServer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(options: MastodonOptions) -> Result<Self> {
        let (listener, port) = listen(0)?;
        let base_url = format!("http://127.0.0.1:{port}");
        let store = Arc::new(Mutex::new(Store::new(base_url.clone(), options)));
        let router = http::router(Arc::clone(&store));
        let task = background()?.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { base_url, store, task })
    }

    /// `http://127.0.0.1:port`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The bearer token it accepts.
    pub fn token(&self) -> String {
        lock(&self.store).options.token.clone()
    }

    /// Somebody mentions the brand: a status and a notification. Gives the status id.
    pub fn add_mention(&self, status: NewStatus) -> String {
        lock(&self.store).add_mention(status)
    }

    /// The brand itself posts or answers. Gives the status id.
    pub fn add_own(&self, text: &str, created_at: Timestamp, in_reply_to: Option<&str>) -> String {
        let mut store = lock(&self.store);
        let author = store.options.username.clone();
        let mut status = NewStatus::new(&author, text, created_at);
        status.in_reply_to = in_reply_to.map(str::to_owned);
        store.add_own(status)
    }

    /// The brand boosts a status. Gives the id of the boost.
    ///
    /// # Errors
    /// When there is no such status.
    pub fn add_boost(&self, of_status: &str, created_at: Timestamp) -> Result<String> {
        lock(&self.store).add_boost(of_status, created_at).ok_or_else(|| unknown(of_status))
    }

    /// The author edits a status.
    ///
    /// # Errors
    /// When there is no such status.
    pub fn edit(&self, status_id: &str, text: &str, edited_at: Timestamp) -> Result<()> {
        lock(&self.store).edit(status_id, text, edited_at).ok_or_else(|| unknown(status_id))
    }

    /// The author deletes a status: it is 404 from now on, and its notification is gone.
    ///
    /// # Errors
    /// When there is no such status.
    pub fn delete(&self, status_id: &str) -> Result<()> {
        lock(&self.store).delete(status_id).ok_or_else(|| unknown(status_id))
    }

    /// Answers the next `count` API requests with this status; every answer has the rate limit headers.
    pub fn fail_next(&self, status: u16, count: usize) {
        lock(&self.store).failures.extend(std::iter::repeat_n(status, count));
    }

    /// How many API requests were made so far.
    pub fn requests(&self) -> u64 {
        lock(&self.store).requests
    }
}

impl Drop for MastodonServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn unknown(status_id: &str) -> SandboxError {
    SandboxError::Unsupported(format!("the Mastodon fake has no status {status_id}"))
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

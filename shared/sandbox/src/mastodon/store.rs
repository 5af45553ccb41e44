//! What the fake server knows: statuses with all their versions, and notifications.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;

use super::{MastodonOptions, NewStatus};

/// Ids look like the real ones (18 digits), so that a client comparing them as strings of one length goes on working.
const FIRST_ID: u64 = 117_000_000_000_000_000;

#[derive(Debug)]
pub(super) struct Store {
    pub(super) base_url: String,
    pub(super) options: MastodonOptions,
    pub(super) statuses: BTreeMap<u64, Status>,
    /// Notification id to status id.
    pub(super) notifications: BTreeMap<u64, u64>,
    pub(super) failures: VecDeque<u16>,
    pub(super) requests: u64,
    pub(super) window: (Instant, u32),
    next: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) id: u64,
    pub(super) author: String,
    pub(super) created_at: Timestamp,
    pub(super) in_reply_to: Option<u64>,
    pub(super) visibility: &'static str,
    pub(super) language: Option<String>,
    /// Content and time of every version, the first one first.
    pub(super) versions: Vec<(String, Timestamp)>,
    pub(super) boost_of: Option<u64>,
}

impl Store {
    pub(super) fn new(base_url: String, options: MastodonOptions) -> Self {
        Self {
            base_url,
            options,
            statuses: BTreeMap::new(),
            notifications: BTreeMap::new(),
            failures: VecDeque::new(),
            requests: 0,
            window: (Instant::now(), 0),
            next: FIRST_ID,
        }
    }

    pub(super) fn add_mention(&mut self, status: NewStatus) -> String {
        let id = self.add(status, true);
        let notification = self.next_id();
        self.notifications.insert(notification, id);
        id.to_string()
    }

    pub(super) fn add_own(&mut self, status: NewStatus) -> String {
        self.add(status, false).to_string()
    }

    pub(super) fn add_boost(&mut self, of_status: &str, created_at: Timestamp) -> Option<String> {
        let original = self.find(of_status)?.id;
        let status = NewStatus::new(&self.options.username.clone(), "", created_at);
        let id = self.add(status, false);
        self.statuses.get_mut(&id)?.boost_of = Some(original);
        Some(id.to_string())
    }

    pub(super) fn edit(&mut self, id: &str, text: &str, edited_at: Timestamp) -> Option<()> {
        let id = self.find(id)?.id;
        let mentions_brand = self.notifications.values().any(|status| *status == id);
        let content = self.content(text, mentions_brand);
        self.statuses.get_mut(&id)?.versions.push((content, edited_at));
        Some(())
    }

    pub(super) fn delete(&mut self, id: &str) -> Option<()> {
        let id = self.find(id)?.id;
        self.statuses.remove(&id);
        self.statuses.retain(|_, status| status.boost_of != Some(id));
        self.notifications.retain(|_, status| *status != id);
        Some(())
    }

    pub(super) fn find(&self, id: &str) -> Option<&Status> {
        self.statuses.get(&id.parse().ok()?)
    }

    fn add(&mut self, status: NewStatus, mentions_brand: bool) -> u64 {
        let id = self.next_id();
        let content = self.content(&status.text, mentions_brand);
        let kept = Status {
            id,
            author: status.author,
            created_at: status.created_at,
            in_reply_to: status.in_reply_to.and_then(|id| id.parse().ok()),
            visibility: status.visibility,
            language: status.language,
            versions: vec![(content, status.created_at)],
            boost_of: None,
        };
        self.statuses.insert(id, kept);
        id
    }

    /// The HTML of a post as Mastodon writes it.
    fn content(&self, text: &str, mentions_brand: bool) -> String {
        if text.is_empty() || text.starts_with('<') {
            return text.to_owned();
        }
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br />");
        if !mentions_brand {
            return format!("<p>{escaped}</p>");
        }
        let (base, name) = (&self.base_url, &self.options.username);
        format!(
            "<p><span class=\"h-card\" translate=\"no\"><a href=\"{base}/@{name}\" class=\"u-url mention\">@<span>{name}</span></a></span> {escaped}</p>"
        )
    }

    fn next_id(&mut self) -> u64 {
        self.next += 7;
        self.next
    }
}

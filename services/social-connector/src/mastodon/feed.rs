//! One listing of a server, read forward page by page.

use super::{
    api::{Notification, Status},
    client::{Page, error_without_payload},
};
use outcry_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::VecDeque, time::Duration};

/// The two listings of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Who mentions the brand.
    Notifications,
    /// What the brand writes.
    Statuses,
}

impl Listing {
    /// Key of its checkpoint, and scope of its coverage.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
            Self::Statuses => "statuses",
        }
    }

    /// The most that the API gives at once (`methods/notifications.md`, `methods/accounts.md`).
    pub fn page_limit(self) -> u32 {
        match self {
            Self::Notifications => 80,
            Self::Statuses => 40,
        }
    }
}

/// Where a listing was left off, as saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything up to here is with the broker.
    pub min_id: String,
    /// Coverage is proven up to here.
    pub covered_until: Timestamp,
    /// Read since then.
    #[serde(default)]
    pub tally: Tally,
}

impl Default for Position {
    fn default() -> Self {
        // The lowest id there is: the first reading begins with the oldest that the server still lists.
        Self { min_id: "0".into(), covered_until: Timestamp::UNKNOWN, tally: Tally::default() }
    }
}

/// What a window held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Posts that the server listed.
    pub listed: u64,
    /// Posts that the broker has.
    pub produced: u64,
    /// Ids of posts that cannot be read; at most [`Tally::MAX_EXAMPLES`].
    #[serde(default)]
    pub refused: Vec<String>,
}

impl Tally {
    /// As many as a coverage record names.
    pub const MAX_EXAMPLES: usize = 100;

    pub(super) fn note_refused(&mut self, id: String) {
        if self.refused.len() < Self::MAX_EXAMPLES {
            self.refused.push(id);
        }
    }
}

/// An element of a page.
#[derive(Debug)]
pub enum Entry {
    /// A post.
    Post {
        /// It.
        status: Box<Status>,
        /// When the server had it.
        received_at: Timestamp,
        /// The element as it came.
        raw: Box<RawValue>,
    },
    /// Something that cannot be read as what the API documents.
    Unreadable {
        /// Its id in the listing, if it has one.
        id: String,
        /// Why; never the payload.
        reason: String,
        /// The element as it came.
        raw: Box<RawValue>,
    },
}

impl Entry {
    /// When it took its place in the conversation. Two listings are read in this order, so that a post is nearly always
    /// known before its answer, and nothing has to be asked for.
    fn order(&self) -> Timestamp {
        match self {
            Self::Post { status, received_at, .. } => status.created_at.min(*received_at),
            Self::Unreadable { .. } => Timestamp::UNKNOWN,
        }
    }
}

/// A record for the broker, kept until its page is complete.
#[derive(Debug)]
pub struct Outgoing {
    /// Key.
    pub key: String,
    /// Value.
    pub payload: Vec<u8>,
}

/// A listing in the course of one pass.
#[derive(Debug)]
pub struct Feed {
    /// Which.
    pub listing: Listing,
    /// As saved.
    pub position: Position,
    /// What is left of the page, oldest first.
    pub entries: VecDeque<Entry>,
    /// What the page became so far.
    pub outgoing: Vec<Outgoing>,
    /// The `min_id` to save when the page is with the broker.
    pub page_end: Option<String>,
    /// The server has nothing newer.
    pub exhausted: bool,
}

impl Feed {
    /// From where it was left off.
    pub fn new(listing: Listing, position: Position) -> Self {
        Self { listing, position, entries: VecDeque::new(), outgoing: Vec::new(), page_end: None, exhausted: false }
    }

    /// Takes in a page, up to what is too young to be read; a page that leads nowhere ends the pass.
    pub fn take_page(&mut self, page: Page, own_account: &str, now: Timestamp) {
        let mut settled: Vec<_> = page.elements.into_iter().rev().collect();
        let unsettled_from = settled.iter().position(|element| is_unsettled(element, now));
        let newest = match unsettled_from {
            Some(first) => {
                settled.truncate(first);
                settled.last().and_then(|element| listed(element)).map(|element| element.id)
            }
            None => page.newest,
        };
        let leads_on = newest.filter(|newest| *newest != self.position.min_id);
        if settled.is_empty() || leads_on.is_none() {
            self.exhausted = true;
            return;
        }
        self.page_end = leads_on;
        let listing = self.listing;
        self.entries = settled.into_iter().filter_map(|raw| read(listing, raw, own_account)).collect();
    }

    /// The place of the next entry in the conversation.
    pub fn next_order(&self) -> Option<Timestamp> {
        self.entries.front().map(Entry::order)
    }
}

/// A server gives out ids before it commits what they name, so for a moment a lower one may still be on its way: reading
/// past it would lose it for good. So nothing is read before it is this old.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// A time further ahead than this is a wrong clock and no reason to wait.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

fn is_unsettled(element: &RawValue, now: Timestamp) -> bool {
    listed(element).is_some_and(|element| {
        element.created_at > now.minus(SETTLED_AFTER) && element.created_at < now.plus(CLOCK_TOLERANCE)
    })
}

fn listed(element: &RawValue) -> Option<Listed> {
    serde_json::from_str(element.get()).ok()
}

/// What all elements of both listings have.
#[derive(Deserialize)]
struct Listed {
    id: String,
    created_at: Timestamp,
}

/// `None`: an element that concerns no post of others, such as a mention deleted meanwhile or the brand's own echo.
fn read(listing: Listing, raw: Box<RawValue>, own_account: &str) -> Option<Entry> {
    let read = match listing {
        Listing::Notifications => serde_json::from_str::<Notification>(raw.get())
            .map(|notification| notification.status.map(|status| (status, Some(notification.created_at)))),
        Listing::Statuses => serde_json::from_str::<Status>(raw.get()).map(|status| Some((status, None))),
    };
    match read {
        Ok(None) => None,
        // The brand mentioning itself: the other listing has it (mission map 56: echoes).
        Ok(Some((status, Some(_)))) if status.account.id == own_account => None,
        Ok(Some((status, noticed_at))) => {
            // The brand's own posts are written on our server: its time of writing is its time of having them.
            let received_at = noticed_at.unwrap_or_else(|| status.version_time());
            Some(Entry::Post { status: Box::new(status), received_at, raw })
        }
        Err(error) => {
            let id = serde_json::from_str::<super::api::Identified>(raw.get()).map(|element| element.id);
            Some(Entry::Unreadable { id: id.unwrap_or_default(), reason: error_without_payload(&error), raw })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(id: &str, author: &str, at: &str) -> serde_json::Value {
        json!({"id": id, "uri": format!("https://a.example/s/{id}"), "created_at": at,
            "account": {"id": author, "acct": format!("u{author}")}})
    }

    fn now() -> Timestamp {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    fn page(elements: &serde_json::Value, newest: &str) -> Page {
        Page { elements: serde_json::from_str(&elements.to_string()).unwrap(), newest: Some(newest.into()) }
    }

    #[test]
    fn a_page_is_read_oldest_first_and_one_bad_element_does_not_hide_the_others() {
        let at = "2026-03-01T09:00:00Z";
        let elements = json!([
            {"id": "3", "created_at": at, "status": status("13", "7", at)},
            {"id": "2", "created_at": "yesterday", "status": {}},
            {"id": "1", "created_at": at, "status": status("11", "7", at)},
        ]);
        let mut feed = Feed::new(Listing::Notifications, Position::default());
        feed.take_page(page(&elements, "3"), "1", now());
        let ids: Vec<_> = feed
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Post { status, .. } => status.id.clone(),
                Entry::Unreadable { id, .. } => format!("unreadable {id}"),
            })
            .collect();
        assert_eq!(ids, ["11", "unreadable 2", "13"]);
        assert_eq!(feed.page_end.as_deref(), Some("3"));
    }

    #[test]
    fn an_echo_and_a_mention_without_its_post_are_nobodys_contact() {
        let at = "2026-03-01T09:00:00Z";
        let elements = json!([
            {"id": "2", "created_at": at, "status": status("12", "1", at)},
            {"id": "1", "created_at": at, "status": null},
        ]);
        let mut feed = Feed::new(Listing::Notifications, Position::default());
        feed.take_page(page(&elements, "2"), "1", now());
        assert!(feed.entries.is_empty() && !feed.exhausted);
        assert_eq!(feed.page_end.as_deref(), Some("2"), "the page still counts as read");
    }

    #[test]
    fn a_page_that_leads_nowhere_ends_the_pass() {
        let mut feed = Feed::new(Listing::Statuses, Position { min_id: "5".into(), ..Position::default() });
        feed.take_page(page(&json!([status("5", "1", "2026-03-01T09:00:00Z")]), "5"), "1", now());
        assert!(feed.exhausted && feed.entries.is_empty());
    }

    #[test]
    fn what_is_seconds_old_waits_because_a_lower_id_may_still_come() {
        let notification = |id: &str, at: &str| json!({"id": id, "created_at": at, "status": status(id, "7", at)});
        let elements = json!([
            notification("4", "2026-03-01T09:59:50Z"),
            notification("3", "2026-03-01T09:59:58Z"),
            notification("2", "2026-03-01T09:59:54Z"),
        ]);
        let mut feed = Feed::new(Listing::Notifications, Position::default());
        feed.take_page(page(&elements, "4"), "1", now());
        assert_eq!((feed.entries.len(), feed.page_end.as_deref()), (1, Some("2")));
        let mut feed = Feed::new(Listing::Notifications, Position { min_id: "2".into(), ..Position::default() });
        feed.take_page(page(&json!([notification("3", "2026-03-01T09:59:58Z")]), "3"), "1", now());
        assert!(feed.exhausted && feed.page_end.is_none());
        let mut feed = Feed::new(Listing::Notifications, Position::default());
        feed.take_page(page(&json!([notification("3", "2026-03-01T11:00:00Z")]), "3"), "1", now());
        assert_eq!(feed.entries.len(), 1, "a server whose clock is an hour ahead is read all the same");
    }

    #[test]
    fn a_lone_surrogate_is_unreadable_and_stays_alone() {
        let raw = r#"[{"id":"1","uri":"x","created_at":"2026-03-01T09:00:00Z","content":"\ud800","account":{"id":"1","acct":"a"}}]"#;
        let mut feed = Feed::new(Listing::Statuses, Position::default());
        feed.take_page(Page { elements: serde_json::from_str(raw).unwrap(), newest: Some("1".into()) }, "1", now());
        assert!(matches!(feed.entries.front(), Some(Entry::Unreadable { id, .. }) if id == "1"));
    }
}

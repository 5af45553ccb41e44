//! Posts seen lately, to be looked at again for edits and deletions.
//!
//! Listings show a post once; nothing tells a reader by REST that it changed. So the last few are asked for again, a few at
//! a time in turn. The list is saved with the checkpoints, without names or words, so that a deletion while we were
//! down is noticed as well.

use super::thread::Place;
use outcry_domain::{CaseId, CustomerId, Direction, Item, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// One of them: enough to say that it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPost {
    /// Local id.
    pub id: String,
    /// The post's URI.
    pub uri: String,
    /// The conversation's root.
    pub root: String,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its case.
    pub case_id: CaseId,
    /// Whom it concerns.
    pub customer_id: CustomerId,
    /// The brand's or the customer's.
    pub direction: Direction,
    /// The latest version seen.
    pub version: Timestamp,
    /// Since when the server says that it is gone. One such answer is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

impl KnownPost {
    /// What is kept of a post that was produced as `item`.
    pub fn new(id: &str, place: &Place, item: &Item) -> Self {
        Self {
            id: id.to_owned(),
            uri: place.uri.to_string(),
            root: place.root.to_string(),
            parent: place.parent.as_deref().map(str::to_owned),
            case_id: item.case_id,
            customer_id: item.customer.customer_id,
            direction: item.direction,
            version: item.occurred_at,
            missing_since: None,
        }
    }
}

/// The last few posts, the next to look at first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent {
    posts: VecDeque<KnownPost>,
}

impl Recent {
    /// Remembers a post, at most `capacity` of them: the one that waits longest makes room.
    pub fn remember(&mut self, post: KnownPost, capacity: usize) {
        self.forget(&post.id);
        self.posts.push_back(post);
        while self.posts.len() > capacity {
            self.posts.pop_front();
        }
    }

    /// The next to look at.
    pub fn next(&self) -> Option<&KnownPost> {
        self.posts.front()
    }

    /// It was looked at and is unchanged: the others come first.
    pub fn to_the_end(&mut self) {
        if !self.posts.is_empty() {
            self.posts.rotate_left(1);
        }
    }

    /// The server says that it is gone. `true` when it said so before, at least `apart` ago, and not otherwise since.
    pub fn missed(&mut self, id: &str, now: Timestamp, apart: Duration) -> bool {
        let Some(known) = self.posts.iter_mut().find(|known| known.id == id) else { return false };
        let since = *known.missing_since.get_or_insert(now);
        now > since && now >= since.plus(apart)
    }

    /// The server has it. `true` when it had said otherwise.
    pub fn seen(&mut self, id: &str) -> bool {
        let known = self.posts.iter_mut().find(|known| known.id == id);
        known.is_some_and(|known| known.missing_since.take().is_some())
    }

    /// It is gone.
    pub fn forget(&mut self, id: &str) {
        self.posts.retain(|known| known.id != id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.posts.len()
    }

    /// `true` when none is known.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: &str) -> KnownPost {
        KnownPost {
            id: id.into(),
            uri: format!("https://a.example/{id}"),
            root: "r".into(),
            parent: None,
            case_id: CaseId(1),
            customer_id: CustomerId(2),
            direction: Direction::Inbound,
            version: Timestamp::from_seconds(1),
            missing_since: None,
        }
    }

    #[test]
    fn the_oldest_makes_room_and_each_is_looked_at_in_turn() {
        let mut recent = Recent::default();
        for id in ["1", "2", "3", "3"] {
            recent.remember(post(id), 2);
        }
        assert_eq!((recent.next().unwrap().id.as_str(), recent.len()), ("2", 2));
        recent.to_the_end();
        assert_eq!(recent.next().unwrap().id, "3");
        recent.forget("3");
        assert_eq!(recent.next().unwrap().id, "2");
    }

    #[test]
    fn gone_is_what_is_missed_twice_apart_in_time_and_not_seen_in_between() {
        const MINUTE: Duration = Duration::from_secs(60);
        let at = Timestamp::from_seconds;
        let mut recent = Recent::default();
        recent.remember(post("1"), 2);
        assert!(!recent.missed("1", at(0), MINUTE), "once");
        assert!(!recent.missed("1", at(59), MINUTE), "too soon");
        let mut recent: Recent = serde_json::from_str(&serde_json::to_string(&recent).unwrap()).unwrap();
        assert!(recent.missed("1", at(60), MINUTE), "even over a restart");
        assert!(recent.seen("1") && !recent.seen("1"), "it is back");
        assert!(!recent.missed("1", at(61), MINUTE), "it begins anew");
        recent.remember(post("1"), 2);
        assert!(!recent.missed("1", at(200), MINUTE), "a new version was seen");
        assert!(!recent.missed("unknown", at(300), MINUTE));
    }

    #[test]
    fn the_list_survives_being_saved() {
        let mut recent = Recent::default();
        recent.remember(post("1"), 2);
        let saved: Recent = serde_json::from_str(&serde_json::to_string(&recent).unwrap()).unwrap();
        assert_eq!(saved, recent);
    }
}

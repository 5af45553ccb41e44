//! Where a folder was left off: saved only after the broker has everything that it claims.

use outcry_domain::Timestamp;
use serde::{Deserialize, Serialize};

/// More separate runs of UIDs than this are joined from below; what lies under them is taken as seen.
const MAX_RANGES: usize = 500;

/// Gaps beyond this many are counted, not named.
const MAX_GAPS: usize = 1000;

/// One folder's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checkpoint {
    /// UIDs mean nothing under another value.
    pub uidvalidity: u32,
    /// The highest UID that was handed on (or is a gap).
    pub last_uid: u32,
    /// UIDs that were handed on.
    pub seen: UidSet,
    /// UIDs that the server lists and does not deliver.
    pub gaps: Vec<Gap>,
    /// Coverage was told up to here.
    pub covered_until: Timestamp,
    /// Windows that were told with something missing.
    pub open_windows: Vec<OpenWindow>,
}

/// A mail that could not be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub uid: u32,
    pub reason: String,
}

/// A coverage record that will be told again when its gaps close.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenWindow {
    pub start: Timestamp,
    pub end: Timestamp,
    pub listed: u64,
    pub missing: Vec<u32>,
}

impl Checkpoint {
    /// A folder that is read from its beginning.
    pub fn fresh(uidvalidity: u32) -> Self {
        Self { uidvalidity, ..Self::default() }
    }

    /// The mail is with the broker.
    pub fn note_seen(&mut self, uid: u32) {
        self.seen.insert(uid);
        self.last_uid = self.last_uid.max(uid);
        self.gaps.retain(|gap| gap.uid != uid);
    }

    /// The mail cannot be had now; later sweeps ask again.
    pub fn note_gap(&mut self, uid: u32, reason: &str) {
        self.last_uid = self.last_uid.max(uid);
        if self.gaps.len() < MAX_GAPS && !self.is_gap(uid) {
            self.gaps.push(Gap { uid, reason: reason.to_owned() });
        }
    }

    /// The mail is no longer in the folder: nothing is missing.
    pub fn note_expunged(&mut self, uid: u32) {
        self.note_seen(uid);
    }

    pub fn is_gap(&self, uid: u32) -> bool {
        self.gaps.iter().any(|gap| gap.uid == uid)
    }
}

/// A set of UIDs as runs, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UidSet(Vec<(u32, u32)>);

impl UidSet {
    pub fn contains(&self, uid: u32) -> bool {
        let position = self.0.partition_point(|(_, last)| *last < uid);
        self.0.get(position).is_some_and(|(first, _)| *first <= uid)
    }

    pub fn insert(&mut self, uid: u32) {
        if self.contains(uid) {
            return;
        }
        let position = self.0.partition_point(|(_, last)| *last < uid);
        let joins_below = position > 0 && self.0[position - 1].1 == uid - 1;
        let joins_above = self.0.get(position).is_some_and(|(first, _)| *first - 1 == uid);
        match (joins_below, joins_above) {
            (true, true) => {
                self.0[position - 1].1 = self.0[position].1;
                self.0.remove(position);
            }
            (true, false) => self.0[position - 1].1 = uid,
            (false, true) => self.0[position].0 = uid,
            (false, false) => self.0.insert(position, (uid, uid)),
        }
        if self.0.len() > MAX_RANGES {
            self.0[1].0 = 1;
            self.0.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn runs_hold_exactly_what_was_put_in(uids in prop::collection::vec(1u32..300, 0..200)) {
            let mut set = UidSet::default();
            for uid in &uids {
                set.insert(*uid);
            }
            let expected: BTreeSet<u32> = uids.into_iter().collect();
            for uid in 1..300 {
                prop_assert_eq!(set.contains(uid), expected.contains(&uid));
            }
            prop_assert!(set.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }

    #[test]
    fn a_set_with_many_holes_stays_small() {
        let mut set = UidSet::default();
        for uid in (1..10_000).step_by(2) {
            set.insert(uid);
        }
        assert_eq!(set.0.len(), MAX_RANGES);
        assert!(set.contains(2) && set.contains(9_999) && !set.contains(9_998));
    }

    #[test]
    fn a_gap_that_arrives_is_closed() {
        let mut checkpoint = Checkpoint::fresh(1);
        checkpoint.note_gap(7, "NIL");
        assert_eq!(checkpoint.last_uid, 7);
        assert!(checkpoint.is_gap(7) && !checkpoint.seen.contains(7));
        checkpoint.note_seen(7);
        assert!(checkpoint.gaps.is_empty() && checkpoint.seen.contains(7));
    }
}

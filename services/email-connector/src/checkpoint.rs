//! Where a folder was left off: saved only after the broker has everything that it claims.

use outcry_domain::{ContactId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// Beyond this many separate runs of UIDs the lowest are forgotten: a sweep that comes upon them reads them again, which
/// is harmless. The runs of what a sweep looks at fit by far: it takes a hole after every mail, for ten thousand mails.
const MAX_RANGES: usize = 10_000;

/// Gaps beyond this many are counted, not named.
const MAX_GAPS: usize = 1000;

/// One folder's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checkpoint {
    /// UIDs mean nothing under another value.
    pub uidvalidity: u32,
    /// Everything that was listed up to this UID was handed on, or is a gap, or is gone.
    pub last_uid: u32,
    /// UIDs that were handed on; of the low ones only some.
    pub seen: UidSet,
    /// UIDs that the server lists and does not deliver.
    pub gaps: Vec<Gap>,
    /// Coverage was told up to here.
    pub covered_until: Timestamp,
    /// Windows that were told with something missing.
    pub open_windows: Vec<OpenWindow>,
    /// The folder was another one before; what it held then is here again.
    pub reread: Option<Reread>,
    /// Of a backfill: what is above belongs to the connector that reads what comes in.
    pub until: Option<u32>,
    /// The present listing, as far as `last_uid` did not pass it.
    #[serde(skip)]
    ahead: VecDeque<u32>,
    /// Those of `ahead` that are not settled.
    #[serde(skip)]
    open: BTreeSet<u32>,
}

/// A folder whose UIDVALIDITY changed: restored, migrated or made anew. Not every server keeps INTERNALDATE then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reread {
    /// When we noticed.
    pub noticed_at: Timestamp,
    /// Everything up to here had been read before.
    pub covered_until: Timestamp,
    /// The highest UID that our first look found.
    pub listed_until: Option<u32>,
}

impl Reread {
    /// The mail was in the folder before we noticed, or was moved there later by a server that keeps INTERNALDATE.
    pub fn concerns(&self, uid: u32, internal_date: Option<Timestamp>) -> bool {
        self.listed_until.is_some_and(|last| uid <= last) || internal_date.is_some_and(|date| date < self.noticed_at)
    }

    /// Written and received after all that had been read before: it is new, and waits for its first answer.
    pub fn is_news(&self, occurred_at: Timestamp, received_at: Timestamp) -> bool {
        !self.covered_until.is_unknown() && occurred_at.min(received_at) > self.covered_until
    }
}

/// A mail that could not be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub uid: u32,
    pub reason: String,
    /// What its header alone was handed on as. The whole mail, once it can be had, takes the place of that.
    #[serde(default)]
    pub known_as: Option<ContactId>,
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

    /// The same folder under another UIDVALIDITY, where nothing that was known of UIDs holds.
    pub fn begun_again(&self, uidvalidity: u32, noticed_at: Timestamp) -> Self {
        let covered_until = self.covered_until;
        let reread = Some(Reread { noticed_at, covered_until, listed_until: None });
        Self { covered_until, reread, ..Self::fresh(uidvalidity) }
    }

    /// What the server lists above `last_uid`, ascending. What was settled before a connection broke stays so.
    pub fn note_listed(&mut self, uids: &[u32]) {
        self.ahead = uids.iter().copied().collect();
        self.open = uids.iter().copied().filter(|uid| !self.seen.contains(*uid) && !self.is_gap(*uid)).collect();
        self.advance();
    }

    /// UIDs of the listing that are still to be read, ascending.
    pub fn unsettled(&self) -> Vec<u32> {
        self.open.iter().copied().collect()
    }

    fn settle(&mut self, uid: u32) {
        if self.open.remove(&uid) {
            self.advance();
        }
    }

    /// The place moves over what is settled and never over what is not: the next session looks only above it.
    fn advance(&mut self) {
        while let Some(uid) = self.ahead.front().copied().filter(|uid| !self.open.contains(uid)) {
            self.last_uid = self.last_uid.max(uid);
            self.ahead.pop_front();
        }
    }

    /// The mail is with the broker.
    pub fn note_seen(&mut self, uid: u32) {
        self.seen.insert(uid);
        self.gaps.retain(|gap| gap.uid != uid);
        self.settle(uid);
    }

    /// The mail cannot be had now; later sweeps ask again.
    pub fn note_gap(&mut self, uid: u32, reason: &str) {
        if self.gaps.len() < MAX_GAPS && !self.is_gap(uid) {
            self.gaps.push(Gap { uid, reason: reason.to_owned(), known_as: None });
        }
        self.settle(uid);
    }

    /// Only the header of that mail could be had, and was handed on as this contact: it is a gap all the same.
    pub fn note_unread(&mut self, uid: u32, contact: Option<ContactId>) {
        self.note_gap(uid, "only its header can be read");
        if let Some(gap) = self.gaps.iter_mut().find(|gap| gap.uid == uid) {
            gap.known_as = contact;
            self.seen.remove(uid);
        }
    }

    /// The contact as which the header of that gap was handed on.
    pub fn known_as(&self, uid: u32) -> Option<ContactId> {
        self.gaps.iter().find(|gap| gap.uid == uid)?.known_as
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
            self.0.remove(0);
        }
    }

    pub fn remove(&mut self, uid: u32) {
        let position = self.0.partition_point(|(_, last)| *last < uid);
        let Some((first, last)) = self.0.get(position).copied().filter(|(first, _)| *first <= uid) else {
            return;
        };
        let mut rest = Vec::with_capacity(2);
        if first < uid {
            rest.push((first, uid - 1));
        }
        if uid < last {
            rest.push((uid + 1, last));
        }
        self.0.splice(position..=position, rest);
    }

    /// Nobody will ask about UIDs below this one.
    pub fn forget_below(&mut self, uid: u32) {
        self.0.retain(|(_, last)| *last >= uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_hold_exactly_what_was_put_in(uids in prop::collection::vec(1u32..300, 0..200)) {
            let mut set = UidSet::default();
            for uid in &uids {
                set.insert(*uid);
            }
            let mut expected: BTreeSet<u32> = uids.iter().copied().collect();
            for uid in uids.iter().step_by(3) {
                set.remove(*uid);
                set.remove(uid + 300);
                expected.remove(uid);
            }
            for uid in 1..300 {
                prop_assert_eq!(set.contains(uid), expected.contains(&uid));
            }
            prop_assert!(set.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }

    #[test]
    fn a_set_with_many_holes_stays_small_and_claims_nothing_that_was_not_put_in() {
        let mut set = UidSet::default();
        let highest = 4 * u32::try_from(MAX_RANGES).unwrap() + 1;
        for uid in (1..=highest).step_by(2) {
            set.insert(uid);
        }
        assert_eq!(set.0.len(), MAX_RANGES);
        assert!((1..=highest).all(|uid| uid % 2 == 1 || !set.contains(uid)));
        assert!(!set.contains(1) && set.contains(highest), "the lowest are forgotten");
    }

    #[test]
    fn what_no_sweep_asks_about_is_forgotten() {
        let mut set = UidSet::default();
        for uid in [1, 2, 5, 6, 7, 9] {
            set.insert(uid);
        }
        set.forget_below(6);
        assert_eq!(set.0, [(5, 7), (9, 9)]);
    }

    #[test]
    fn a_gap_that_arrives_is_closed() {
        let mut checkpoint = Checkpoint::fresh(1);
        checkpoint.note_listed(&[7]);
        checkpoint.note_gap(7, "NIL");
        assert_eq!(checkpoint.last_uid, 7);
        assert!(checkpoint.is_gap(7) && !checkpoint.seen.contains(7));
        checkpoint.note_seen(7);
        assert!(checkpoint.gaps.is_empty() && checkpoint.seen.contains(7));
    }

    #[test]
    fn the_place_stays_below_what_is_listed_and_not_settled() {
        let mut checkpoint = Checkpoint::fresh(1);
        checkpoint.note_listed(&[10, 20, 5000, 9000]);
        checkpoint.note_expunged(9000);
        checkpoint.note_gap(20, "NIL");
        assert_eq!((checkpoint.last_uid, checkpoint.unsettled()), (0, vec![10, 5000]));
        checkpoint.note_seen(10);
        assert_eq!(checkpoint.last_uid, 20);
        // The connection breaks, and the process ends: the next one asks for what is missing and nothing else.
        let saved = serde_json::to_vec(&checkpoint).unwrap();
        let mut checkpoint: Checkpoint = serde_json::from_slice(&saved).unwrap();
        checkpoint.note_listed(&[5000, 9000, 9001]);
        assert_eq!(checkpoint.unsettled(), [5000, 9001]);
        checkpoint.note_seen(5000);
        assert_eq!(checkpoint.last_uid, 9000);
        checkpoint.note_seen(9001);
        assert_eq!(checkpoint.last_uid, 9001);
    }

    proptest! {
        #[test]
        fn the_place_is_never_above_an_unsettled_mail(
            listed in prop::collection::btree_set(1u32..200, 1..60),
            settled in prop::collection::vec((any::<prop::sample::Index>(), 0..3), 0..120),
        ) {
            let listed: Vec<u32> = listed.into_iter().collect();
            let mut open: BTreeSet<u32> = listed.iter().copied().collect();
            let mut checkpoint = Checkpoint::fresh(1);
            checkpoint.note_listed(&listed);
            for (index, how) in settled {
                let uid = listed[index.index(listed.len())];
                open.remove(&uid);
                match how {
                    0 => checkpoint.note_seen(uid),
                    1 => checkpoint.note_gap(uid, "NIL"),
                    _ => checkpoint.note_expunged(uid),
                }
                let below = |uid: &&u32| open.first().is_none_or(|lowest| *uid < lowest);
                prop_assert_eq!(checkpoint.last_uid, listed.iter().take_while(below).last().copied().unwrap_or(0));
            }
        }
    }

    #[test]
    fn what_was_there_before_a_migration_is_told_from_what_came_after() {
        let at = Timestamp::from_seconds;
        let reread = Reread { noticed_at: at(1000), covered_until: at(500), listed_until: Some(7) };
        assert!(reread.concerns(7, Some(at(2000))), "our first look found it, whatever the server's clock says");
        assert!(reread.concerns(8, Some(at(999))), "the migration goes on");
        assert!(!reread.concerns(8, Some(at(1000))) && !reread.concerns(8, None));
        assert!(reread.is_news(at(501), at(900)), "it came in while nobody read");
        assert!(!reread.is_news(at(400), at(900)) && !reread.is_news(at(900), at(500)));
        assert!(!reread.is_news(Timestamp::UNKNOWN, at(900)));
        assert!(!Reread { covered_until: Timestamp::UNKNOWN, ..reread }.is_news(at(501), at(900)));
    }
}

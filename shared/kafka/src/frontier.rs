//! The offset frontier: completion in any order, commits at the contiguous end only.

use std::collections::VecDeque;

#[derive(Debug)]
struct Outstanding {
    offset: i64,
    bytes: usize,
    done: bool,
}

/// Offsets of one partition that were handed out, and how far all of them are done.
///
/// Offsets are handed out in ascending order, with gaps where the log was compacted or a transaction left its marks.
/// What is completed twice, or was never handed out, changes nothing.
#[derive(Debug, Default)]
pub struct Frontier {
    outstanding: VecDeque<Outstanding>,
    bytes: usize,
    next: Option<i64>,
}

impl Frontier {
    /// Nothing handed out yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that `offset`, of so many bytes, was handed out. Offsets not above the last one are refused.
    pub fn hand_out(&mut self, offset: i64, bytes: usize) -> bool {
        let last = self.outstanding.back().map(|entry| entry.offset).or(self.next.map(|next| next - 1));
        if last.is_some_and(|last| offset <= last) {
            return false;
        }
        self.outstanding.push_back(Outstanding { offset, bytes, done: false });
        self.bytes += bytes;
        true
    }

    /// Records that `offset` is done.
    pub fn complete(&mut self, offset: i64) {
        if let Ok(position) = self.outstanding.binary_search_by_key(&offset, |entry| entry.offset) {
            self.outstanding[position].done = true;
        }
        self.advance();
    }

    /// Records that every offset up to and including `offset` is done.
    pub fn complete_through(&mut self, offset: i64) {
        let end = self.outstanding.partition_point(|entry| entry.offset <= offset);
        self.outstanding.range_mut(..end).for_each(|entry| entry.done = true);
        self.advance();
    }

    /// Records that the bytes of every offset up to and including `offset` are no longer held, though it is not done.
    pub fn release_through(&mut self, offset: i64) {
        let end = self.outstanding.partition_point(|entry| entry.offset <= offset);
        for entry in self.outstanding.range_mut(..end).rev().take_while(|entry| entry.bytes > 0) {
            self.bytes -= std::mem::take(&mut entry.bytes);
        }
    }

    fn advance(&mut self) {
        while self.outstanding.front().is_some_and(|entry| entry.done) {
            if let Some(entry) = self.outstanding.pop_front() {
                self.bytes -= entry.bytes;
                self.next = Some(entry.offset + 1);
            }
        }
    }

    /// The offset to commit: everything handed out below it is done. `None` until something is.
    pub fn committable(&self) -> Option<i64> {
        self.next
    }

    /// The lowest offset that is not done, or the one after the last that was handed out.
    pub fn lowest_outstanding(&self) -> Option<i64> {
        self.outstanding.front().map(|entry| entry.offset).or(self.next)
    }

    /// Bytes handed out above the frontier and still held.
    pub fn outstanding_bytes(&self) -> usize {
        self.bytes
    }

    /// Records handed out above the frontier.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn commits_land_at_the_contiguous_end_only() {
        let mut frontier = Frontier::new();
        for offset in [5, 6, 9] {
            assert!(frontier.hand_out(offset, 10));
        }
        frontier.complete(9);
        frontier.complete(6);
        assert_eq!((frontier.committable(), frontier.outstanding_bytes()), (None, 30));
        frontier.complete(5);
        assert_eq!((frontier.committable(), frontier.outstanding_bytes()), (Some(10), 0));
    }

    #[test]
    fn what_is_completed_twice_or_was_never_handed_out_changes_nothing() {
        let mut frontier = Frontier::new();
        frontier.hand_out(1, 1);
        frontier.complete(7);
        frontier.complete(1);
        frontier.complete(1);
        assert_eq!(frontier.committable(), Some(2));
        assert!(!frontier.hand_out(1, 1), "an offset below the frontier was handed out again");
    }

    #[test]
    fn a_run_is_completed_at_once() {
        let mut frontier = Frontier::new();
        (0..10).for_each(|offset| {
            frontier.hand_out(offset, 1);
        });
        frontier.complete_through(6);
        assert_eq!((frontier.committable(), frontier.outstanding()), (Some(7), 3));
    }

    #[test]
    fn what_is_released_takes_no_room_and_is_not_done() {
        let mut frontier = Frontier::new();
        (0..10).for_each(|offset| {
            frontier.hand_out(offset, 5);
        });
        frontier.release_through(3);
        frontier.release_through(6);
        frontier.release_through(6);
        assert_eq!((frontier.committable(), frontier.outstanding_bytes(), frontier.outstanding()), (None, 15, 10));
        frontier.complete_through(8);
        assert_eq!((frontier.committable(), frontier.outstanding_bytes()), (Some(9), 5));
    }

    proptest! {
        #[test]
        fn any_order_of_completion_commits_exactly_what_is_done(
            offsets in proptest::collection::btree_set(0i64..500, 1..80),
            shuffle in any::<u64>(),
            keep in 0usize..80,
        ) {
            let ordered: Vec<i64> = offsets.iter().copied().collect();
            let mut completions = ordered.clone();
            let mut state = shuffle | 1;
            for position in (1..completions.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                completions.swap(position, (state >> 33) as usize % (position + 1));
            }
            let mut frontier = Frontier::new();
            for offset in &ordered {
                frontier.hand_out(*offset, 3);
            }
            let mut done = BTreeSet::new();
            for offset in completions.iter().take(keep) {
                frontier.complete(*offset);
                done.insert(*offset);
                let expected = ordered.iter().take_while(|offset| done.contains(offset)).last().map(|last| last + 1);
                prop_assert_eq!(frontier.committable(), expected);
                prop_assert_eq!(frontier.outstanding_bytes(), frontier.outstanding() * 3);
            }
        }
    }
}

//! How many records may be refused before it is the service that must be doubted.

use std::collections::VecDeque;

/// Watches the last thousand outcomes. When a quarter of them were refusals, something other than single bad records is
/// wrong (a bad deploy, a new format), and going on would drain the topic into dead letters.
#[derive(Debug)]
pub struct RejectLimit {
    window: VecDeque<bool>,
    rejected: usize,
    size: usize,
    most: usize,
}

impl Default for RejectLimit {
    fn default() -> Self {
        Self::new(1000, 250)
    }
}

impl RejectLimit {
    /// At most `most` refusals among the last `size` outcomes.
    pub fn new(size: usize, most: usize) -> Self {
        Self { window: VecDeque::with_capacity(size), rejected: 0, size, most }
    }

    /// Counts an outcome; `true` when the limit is passed and intake must stop.
    pub fn record(&mut self, rejected: bool) -> bool {
        if self.window.len() == self.size && self.window.pop_front() == Some(true) {
            self.rejected -= 1;
        }
        self.window.push_back(rejected);
        self.rejected += usize::from(rejected);
        self.rejected > self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_passes_for_ever() {
        let mut limit = RejectLimit::default();
        assert!((0..100_000).all(|record| !limit.record(record % 100 == 0)));
    }

    #[test]
    fn a_run_of_refusals_stops_intake() {
        let mut limit = RejectLimit::default();
        assert_eq!((0..1000).position(|_| limit.record(true)), Some(250));
    }
}

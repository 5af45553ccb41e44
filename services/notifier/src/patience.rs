//! How long one mail may hold up those behind it.
//!
//! Records of a partition are handled in order. A server that is away holds up everything, and that is right: nothing
//! could be sent. A server that takes every mail but this one must not: a full mailbox stays full for days, and the next
//! record may be a critical one.

use crate::ledger::Purpose;
use outcry_domain::CaseId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Tries of one mail in its turn; then it is tried later (see [`crate::later`]). Between them lie the delays of the consumer's retries, 25 seconds in all at most.
const TRIES: u32 = 8;

/// Counts, for each mail that was put off, how often it was: one mail a partition, practically.
#[derive(Default)]
pub struct Patience {
    put_off: Mutex<HashMap<(Purpose, CaseId), u32>>,
}

impl Patience {
    /// The server put a mail off once more. `true`: it was tried often enough, and is forgotten here.
    pub fn ends(&self, purpose: Purpose, case: CaseId) -> bool {
        let mut put_off = self.put_off.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = put_off.entry((purpose, case)).or_default();
        *tries += 1;
        let ends = *tries >= TRIES;
        if ends {
            put_off.remove(&(purpose, case));
        }
        ends
    }

    /// What becomes of a mail is known.
    pub fn forget(&self, purpose: Purpose, case: CaseId) {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).remove(&(purpose, case));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_with_a_mail_ends_and_then_begins_anew() {
        let patience = Patience::default();
        let tries = |purpose, case| (1..).find(|_| patience.ends(purpose, CaseId(case)));
        assert_eq!(tries(Purpose::Receipt, 1), Some(TRIES));
        assert_eq!(tries(Purpose::Receipt, 1), Some(TRIES));
        assert!(!patience.ends(Purpose::Alert, CaseId(1)));
        assert_eq!(tries(Purpose::Receipt, 2), Some(TRIES), "each mail has its own");
        assert_eq!(tries(Purpose::Alert, 1), Some(TRIES - 1));
        assert!(!patience.ends(Purpose::Alert, CaseId(3)));
        patience.forget(Purpose::Alert, CaseId(3));
        assert_eq!(tries(Purpose::Alert, 3), Some(TRIES));
    }
}

//! What was sent: one record per case in the compacted checkpoint topic, owner `notifier`.
//!
//! Written after the server's 250 and before the offset passes. A crash in between sends that one mail again (with the
//! same Message-ID); nothing else is ever sent twice. Records are held in memory, about 200 bytes a case, until nothing can ask for them again.
//!
//! One notifier at a time: a second one would not see what the first wrote after it started. Which record is whose
//! follows the partitions, so only a partition that moves between two living notifiers can repeat its last mail.

use outcry_domain::{CaseId, CustomerId, Timestamp};
use outcry_kafka::{Checkpoints, PublishError};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Longer than any delivery may take. A task that was stopped in the middle never says what became of its mail.
const RESERVED_FOR: Duration = Duration::from_secs(180);
const DAY: Duration = Duration::from_secs(86_400);
/// A critical item of a case that was alerted longer ago than this alerts again.
const ALERTS_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// What a mail was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A receipt to the customer.
    Receipt,
    /// An alert to our people.
    Alert,
}

impl Purpose {
    /// Low-cardinality name for metrics.
    pub fn metric_label(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Alert => "alert",
        }
    }
}

/// A mail that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// To which customer; of an alert: about which.
    pub customer_id: CustomerId,
}

/// Whether a mail may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Send it, then [`Ledger::record`] or [`Ledger::release`].
    Send,
    /// It was sent before.
    SentBefore(Sent),
    /// Another task is sending it.
    BeingSent,
    /// This customer had enough mail from us today.
    Enough,
}

/// Who was sent what.
pub struct Ledger {
    checkpoints: Option<Checkpoints>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: HashMap<String, Sent>,
    being_sent: HashMap<String, Timestamp>,
    /// Receipts of the last day, and those being sent.
    receipts: HashMap<CustomerId, Vec<Timestamp>>,
}

impl Ledger {
    /// Takes over what earlier runs sent.
    pub fn new(checkpoints: Checkpoints) -> Self {
        let mut state = State::default();
        for key in checkpoints.keys() {
            if let Some(sent) = checkpoints.get::<Sent>(&key) {
                state.insert(key, sent);
            }
        }
        Self { checkpoints: Some(checkpoints), state: Mutex::new(state) }
    }

    #[cfg(test)]
    fn in_memory() -> Self {
        Self { checkpoints: None, state: Mutex::default() }
    }

    /// Asks to send; at most one task at a time gets [`Permit::Send`] for a case and purpose.
    pub fn reserve(&self, purpose: Purpose, case: CaseId, sending: Sent, max_per_day: usize) -> Permit {
        let key = key(purpose, case);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = state.sent.get(&key) {
            return Permit::SentBefore(*sent);
        }
        if state.being_sent.get(&key).is_some_and(|since| sending.at < since.plus(RESERVED_FOR)) {
            return Permit::BeingSent;
        }
        if purpose == Purpose::Receipt {
            let since = sending.at.minus(DAY);
            let receipts = state.receipts.entry(sending.customer_id).or_default();
            receipts.retain(|at| *at > since);
            if receipts.len() >= max_per_day {
                return Permit::Enough;
            }
            receipts.push(sending.at);
            state.forget_old_receipts(since);
        }
        state.being_sent.insert(key, sending.at);
        Permit::Send
    }

    /// It was sent; durable when this returns.
    pub async fn record(&self, purpose: Purpose, case: CaseId, sent: Sent) -> Result<(), PublishError> {
        let key = key(purpose, case);
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.save(&key, &sent).await?;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.being_sent.remove(&key);
        state.sent.insert(key, sent);
        Ok(())
    }

    /// Forgets, here and in the checkpoints, what nothing can ask for again: a receipt when its mail is older than the
    /// `oldest` that still gets one, an alert after ninety days. Gives how many.
    pub async fn prune(&self, now: Timestamp, oldest: Duration) -> Result<usize, PublishError> {
        // Two days more, for clocks that differ and for the limit of one day.
        let (receipts, alerts) = (now.minus(oldest).minus(2 * DAY), now.minus(ALERTS_KEPT.max(oldest)));
        let expired: Vec<String> = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let old =
                |(key, sent): &(&String, &Sent)| sent.at < if key.starts_with(RECEIPT) { receipts } else { alerts };
            state.sent.iter().filter(old).map(|(key, _)| key.clone()).collect()
        };
        for key in &expired {
            // Until it is gone from here as well, nobody gets a permit for this key.
            if let Some(checkpoints) = &self.checkpoints {
                checkpoints.remove(key).await?;
            }
            self.state.lock().unwrap_or_else(PoisonError::into_inner).sent.remove(key);
        }
        Ok(expired.len())
    }

    /// It was not sent.
    pub fn release(&self, purpose: Purpose, case: CaseId, sending: Sent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.being_sent.remove(&key(purpose, case));
        if purpose == Purpose::Receipt
            && let Some(receipts) = state.receipts.get_mut(&sending.customer_id)
            && let Some(position) = receipts.iter().position(|at| *at == sending.at)
        {
            receipts.swap_remove(position);
        }
    }
}

impl State {
    fn insert(&mut self, key: String, sent: Sent) {
        if key.starts_with(RECEIPT) {
            self.receipts.entry(sent.customer_id).or_default().push(sent.at);
        }
        self.sent.insert(key, sent);
    }

    /// Keeps the map of the last day's receipts as small as the last day.
    fn forget_old_receipts(&mut self, since: Timestamp) {
        const OFTEN_ENOUGH: usize = 1024;
        if self.receipts.len().is_multiple_of(OFTEN_ENOUGH) {
            self.receipts.retain(|_, receipts| receipts.iter().any(|at| *at > since));
        }
    }
}

const RECEIPT: &str = "receipt/";
const ALERT: &str = "alert/";

fn key(purpose: Purpose, case: CaseId) -> String {
    match purpose {
        Purpose::Receipt => format!("{RECEIPT}{case}"),
        Purpose::Alert => format!("{ALERT}{case}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sending(seconds: i64) -> Sent {
        Sent { at: Timestamp::from_seconds(1_000_000 + seconds), customer_id: CustomerId(7) }
    }

    fn reserve(ledger: &Ledger, case: u128, seconds: i64) -> Permit {
        ledger.reserve(Purpose::Receipt, CaseId(case), sending(seconds), 3)
    }

    #[tokio::test]
    async fn one_receipt_a_case_however_often_it_is_asked_for() {
        let ledger = Ledger::in_memory();
        assert_eq!(reserve(&ledger, 1, 0), Permit::Send);
        assert_eq!(reserve(&ledger, 1, 1), Permit::BeingSent);
        ledger.record(Purpose::Receipt, CaseId(1), sending(0)).await.unwrap();
        assert_eq!(reserve(&ledger, 1, 2), Permit::SentBefore(sending(0)));
        let alert = ledger.reserve(Purpose::Alert, CaseId(1), sending(3), 3);
        assert_eq!(alert, Permit::Send, "an alert about the case is another mail");
    }

    #[test]
    fn a_mail_that_was_not_sent_may_be_sent_later() {
        let ledger = Ledger::in_memory();
        assert_eq!(reserve(&ledger, 1, 0), Permit::Send);
        ledger.release(Purpose::Receipt, CaseId(1), sending(0));
        assert_eq!(reserve(&ledger, 1, 1), Permit::Send);
    }

    #[test]
    fn a_task_that_was_stopped_in_the_middle_does_not_block_the_case_for_ever() {
        let ledger = Ledger::in_memory();
        assert_eq!(reserve(&ledger, 1, 0), Permit::Send);
        assert_eq!(reserve(&ledger, 1, 179), Permit::BeingSent);
        assert_eq!(reserve(&ledger, 1, 180), Permit::Send);
    }

    #[tokio::test]
    async fn what_nothing_can_ask_for_again_is_forgotten() {
        let ledger = Ledger::in_memory();
        let hour = Duration::from_secs(3600);
        for purpose in [Purpose::Receipt, Purpose::Alert] {
            ledger.record(purpose, CaseId(1), sending(0)).await.unwrap();
            ledger.record(purpose, CaseId(2), sending(86_400)).await.unwrap();
        }
        let at = |days: u64| sending(0).at.plus(DAY * u32::try_from(days).unwrap());
        assert_eq!(ledger.prune(at(4), 48 * hour).await.unwrap(), 0, "a mail of 48 hours may still be asked for");
        assert_eq!(ledger.prune(at(4).plus(hour), 48 * hour).await.unwrap(), 1);
        let later = Sent { at: at(5), ..sending(0) };
        assert_eq!(ledger.reserve(Purpose::Receipt, CaseId(1), later, 3), Permit::Send);
        assert_eq!(ledger.reserve(Purpose::Alert, CaseId(1), later, 3), Permit::SentBefore(sending(0)));
        assert_eq!(
            ledger.prune(at(90).plus(hour), 48 * hour).await.unwrap(),
            2,
            "the other receipt and the first alert"
        );
        assert_eq!(ledger.reserve(Purpose::Alert, CaseId(2), later, 3), Permit::SentBefore(sending(86_400)));
    }

    #[test]
    fn three_receipts_a_day_to_one_customer_and_no_more() {
        let ledger = Ledger::in_memory();
        for case in 1..=3 {
            assert_eq!(reserve(&ledger, case, case as i64), Permit::Send);
        }
        assert_eq!(reserve(&ledger, 4, 4), Permit::Enough);
        let other = Sent { customer_id: CustomerId(8), ..sending(4) };
        assert_eq!(ledger.reserve(Purpose::Receipt, CaseId(5), other, 3), Permit::Send);
        assert_eq!(reserve(&ledger, 4, 86_400 + 2), Permit::Send, "a day later there is room again");
    }
}

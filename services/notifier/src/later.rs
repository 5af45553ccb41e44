//! Mails that the server put off, tried again for days: a greylist takes minutes, a full mailbox takes longer (RFC 5321,
//! section 4.5.4.1). Meanwhile the records behind them go on.
//!
//! What waits is a place in `items.classified`, kept in the compacted checkpoint topic, so that a restart loses none. A try
//! handles that record anew: whatever was sent meanwhile is not sent again, and what is too old by now is not sent at all.

use crate::{config::Smtp, ledger::Purpose, metrics, notify::Notify};
use outcry_domain::Timestamp;
use outcry_kafka::{Checkpoints, KafkaConfig, Outcome, PublishError, Topic, read_record};
use outcry_runtime::Context;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Owner of what waits, among the checkpoints.
pub const OWNER: &str = "notifier-later";
/// The longest time between two tries.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);
/// What waits at once; what is put off beyond it is given up.
const MAX_WAITING: usize = 10_000;
/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// A record in `items.classified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl Place {
    fn key(self) -> String {
        format!("{}@{}", self.partition, self.offset)
    }

    fn of_key(key: &str) -> Option<Self> {
        let (partition, offset) = key.split_once('@')?;
        Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    }
}

/// One mail that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    /// When it was put off first.
    since: Timestamp,
    /// How often it was tried since.
    tries: u32,
    /// What it is, for the log.
    purpose: String,
    /// Key of the record, so that a topic made anew is not taken for the old one.
    case: String,
}

/// When to try, and when to stop.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    first_delay: Duration,
    give_up_after: Duration,
}

impl Schedule {
    fn delay(&self, tries: u32) -> Duration {
        self.first_delay.saturating_mul(1 << tries.min(16)).min(LONGEST_DELAY.max(self.first_delay))
    }
}

/// What waits, and until when.
pub struct Later {
    checkpoints: Checkpoints,
    schedule: Schedule,
    waiting: Mutex<HashMap<Place, (Waiting, Timestamp)>>,
}

impl Later {
    /// Takes over what earlier runs left waiting.
    pub fn new(checkpoints: Checkpoints, smtp: Option<&Smtp>, now: Timestamp) -> Self {
        let first_delay = Duration::from_secs(smtp.map_or(300, |smtp| smtp.retry_after_seconds.max(1)));
        let give_up_after = Duration::from_secs(smtp.map_or(0, |smtp| smtp.give_up_after_hours).saturating_mul(3600));
        let schedule = Schedule { first_delay, give_up_after };
        let left = checkpoints.keys().into_iter().filter_map(|key| {
            let waiting: Waiting = checkpoints.get(&key)?;
            let due = now.plus(schedule.delay(waiting.tries));
            Some((Place::of_key(&key)?, (waiting, due)))
        });
        let waiting = Mutex::new(left.collect());
        Self { checkpoints, schedule, waiting }
    }

    /// Keeps a mail for later; `false` when too many wait already. Durable when this returns.
    pub async fn put(&self, place: Place, purpose: Purpose, case: &str, now: Timestamp) -> Result<bool, PublishError> {
        if self.lock().len() >= MAX_WAITING {
            return Ok(false);
        }
        let (purpose, case) = (purpose.metric_label().to_owned(), case.to_owned());
        self.keep(place, Waiting { since: now, tries: 0, purpose, case }, now).await?;
        Ok(true)
    }

    async fn keep(&self, place: Place, waiting: Waiting, now: Timestamp) -> Result<(), PublishError> {
        self.checkpoints.save(&place.key(), &waiting).await?;
        let due = now.plus(self.schedule.delay(waiting.tries));
        self.lock().insert(place, (waiting, due));
        Ok(())
    }

    /// Tries what is due, one after the other, until shutdown.
    pub async fn run(&self, notify: &Notify, kafka: &KafkaConfig, context: &Context) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = context.shutdown.cancelled() => return,
            }
            ::metrics::gauge!(metrics::WAITING).set(self.lock().len() as f64);
            for (place, waiting) in self.due(context.clock.now()) {
                if context.shutdown.is_cancelled() {
                    return;
                }
                if let Err(error) = self.try_again(place, waiting, notify, kafka, context).await {
                    tracing::warn!(%error, "noting what became of a mail that waits failed; it is tried again");
                }
            }
        }
    }

    fn due(&self, now: Timestamp) -> Vec<(Place, Waiting)> {
        let waiting = self.lock();
        let due = waiting.iter().filter(|(_, (_, due))| *due <= now);
        let mut due: Vec<_> = due.map(|(place, (waiting, _))| (*place, waiting.clone())).collect();
        due.sort_by_key(|(place, _)| *place);
        due
    }

    async fn try_again(
        &self,
        place: Place,
        mut waiting: Waiting,
        notify: &Notify,
        kafka: &KafkaConfig,
        context: &Context,
    ) -> Result<(), PublishError> {
        let topic = kafka.topic_name(Topic::ItemsClassified);
        let found = read_record(kafka, &topic, place.partition, place.offset).await;
        let outcome = match found {
            Ok(Some(record)) if record.key.as_deref() == Some(waiting.case.as_bytes()) => {
                notify.handle_later(record).await
            }
            Ok(_) => Outcome::Skip,
            Err(error) => Outcome::Retry(error.to_string()),
        };
        let now = context.clock.now();
        match outcome {
            Outcome::Done => return self.settle(place).await,
            Outcome::Skip | Outcome::Reject { .. } => {
                self.give_up(&waiting, "expired", "nothing may be sent for it any more")
            }
            Outcome::Retry(why) | Outcome::Fatal(why) if waiting.since.plus(self.schedule.give_up_after) <= now => {
                self.give_up(&waiting, "put_off", &why);
            }
            Outcome::Retry(why) | Outcome::Fatal(why) => {
                tracing::info!(case.id = waiting.case, waiting.tries, why, "a mail that waits was put off again");
                waiting.tries = waiting.tries.saturating_add(1);
                return self.keep(place, waiting, now).await;
            }
        }
        self.settle(place).await
    }

    fn give_up(&self, waiting: &Waiting, reason: &'static str, why: &str) {
        let (case, purpose) = (&waiting.case, &waiting.purpose);
        let label = if purpose == Purpose::Alert.metric_label() { Purpose::Alert } else { Purpose::Receipt };
        ::metrics::counter!(metrics::GIVEN_UP, "purpose" => label.metric_label(), "reason" => reason).increment(1);
        tracing::error!(case.id = case, mail.purpose = purpose, why, "mail.given_up: write to them by another way");
    }

    async fn settle(&self, place: Place) -> Result<(), PublishError> {
        self.checkpoints.remove(&place.key()).await?;
        self.lock().remove(&place);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, (Waiting, Timestamp)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_an_hour() {
        let schedule = Schedule { first_delay: Duration::from_secs(300), give_up_after: Duration::ZERO };
        let minutes: Vec<u64> = (0..7).map(|tries| schedule.delay(tries).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(schedule.delay(u32::MAX), LONGEST_DELAY);
        let slow = Schedule { first_delay: Duration::from_secs(7200), ..schedule };
        assert_eq!(slow.delay(3), Duration::from_secs(7200), "whoever asks for more than an hour has it");
    }

    #[test]
    fn a_place_reads_as_it_is_written() {
        let place = Place { partition: 3, offset: 41 };
        assert_eq!(Place::of_key(&place.key()), Some(place));
        assert_eq!(Place::of_key("receipt/7"), None);
    }
}

//! Carries out the core's commands.

use crate::{
    core::{Command, Event, Rows},
    decode, failpoint, metrics,
};
use outcry_domain::Timestamp;
use outcry_kafka::{KafkaConfig, Publisher, letter_from_record, read_record};
use outcry_runtime::{Backoff, CancellationToken, Clock};
use outcry_warehouse::{Batch, Fence, InsertResult, StoredTable, Warehouse};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

impl Rows for Batch {
    fn len(&self) -> usize {
        Batch::len(self)
    }

    fn first(&self) -> u64 {
        self.first_offset().unwrap_or_default()
    }

    fn last(&self) -> u64 {
        self.last_offset().unwrap_or_default()
    }

    fn without(&self, present: &[u64]) -> Self {
        Batch::without(self, present)
    }

    fn halves(&self) -> (Self, Self) {
        Batch::halves(self)
    }
}

/// Longer than it takes a poll thread that was stopped to hear of its rebalance.
const OWNERSHIP_WAIT: Duration = Duration::from_secs(3);

/// Of a gap; one good record is enough to know.
const EXAMINED_RECORDS: usize = 3;

/// One partition's hands.
pub(crate) struct Performer {
    pub(crate) warehouse: Warehouse,
    pub(crate) publisher: Publisher,
    pub(crate) kafka: KafkaConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) table: StoredTable,
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) epoch: u16,
    pub(crate) fence: Option<Fence>,
    pub(crate) backoff: Backoff,
    pub(crate) revoked: CancellationToken,
}

impl Performer {
    /// Carries out one command and says what came of it.
    pub(crate) async fn perform(&mut self, command: Command<'_, Batch>) -> Event {
        match command {
            Command::Done => Event::Succeeded,
            Command::InsertCustomers(batch) => event(self.warehouse.insert_customers(batch).await),
            Command::TakeFence => {
                ::metrics::counter!(metrics::RECONCILIATIONS, "table" => self.table.name()).increment(1);
                match self.warehouse.take_fence(&self.topic, self.partition).await {
                    Ok(fence) => {
                        failpoint::at("sink::fence_taken");
                        self.fence = Some(fence);
                        Event::Succeeded
                    }
                    Err(error) => failed(&error),
                }
            }
            Command::KillPredecessors => match self.warehouse.kill_predecessors(&self.topic, self.partition).await {
                Ok(()) => {
                    failpoint::at("sink::predecessors_killed");
                    Event::Succeeded
                }
                Err(error) => failed(&error),
            },
            Command::FindHighest => match self.warehouse.highest_offset(self.table, self.epoch, self.partition).await {
                Ok(highest) => Event::Highest(highest),
                Err(error) => failed(&error),
            },
            Command::ExamineGap(offsets) => self.examine_gap(offsets).await,
            Command::ReadBack(range) => {
                match self.warehouse.read_back(self.table, self.epoch, self.partition, range).await {
                    Ok(present) => {
                        failpoint::at("sink::read_back");
                        Event::Present(present)
                    }
                    Err(error) => failed(&error),
                }
            }
            Command::Insert(batch) => self.insert(batch).await,
            Command::DeadLetter(batch, reason) => self.dead_letter(batch, reason).await,
            Command::WaitAndRetry(problem) => {
                let delay = self.backoff.next_delay();
                tracing::warn!(
                    topic = self.topic,
                    partition = self.partition,
                    problem,
                    ?delay,
                    "not stored yet; trying again"
                );
                self.pause(delay).await
            }
            Command::ConfirmOwnership => {
                tracing::warn!(
                    topic = self.topic,
                    partition = self.partition,
                    "another sink took the fence; asking Kafka whose partition it is"
                );
                self.pause(OWNERSHIP_WAIT).await
            }
        }
    }

    async fn pause(&self, delay: Duration) -> Event {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.revoked.cancelled() => {}
        }
        Event::Succeeded
    }

    async fn insert(&mut self, batch: &Batch) -> Event {
        let Some(fence) = &self.fence else {
            return Event::Ambiguous("no fence is held".into());
        };
        let started = Instant::now();
        failpoint::at("sink::before_insert");
        let sent = failpoint::during("sink::response_lost", self.warehouse.insert(batch, fence));
        let result = failpoint::during("sink::sent", sent).await;
        failpoint::at("sink::after_insert");
        let label = match &result {
            InsertResult::Stored => "stored",
            InsertResult::Fenced => "fenced",
            InsertResult::Rejected { .. } => "rejected",
            InsertResult::Ambiguous(_) => "ambiguous",
            InsertResult::Unavailable(_) => "unavailable",
        };
        ::metrics::counter!(metrics::INSERTS, "table" => self.table.name(), "result" => label).increment(1);
        if matches!(result, InsertResult::Stored) {
            ::metrics::histogram!(metrics::INSERT_SECONDS, "table" => self.table.name())
                .record(started.elapsed().as_secs_f64());
            ::metrics::counter!(metrics::STORED, "table" => self.table.name()).increment(batch.len() as u64);
            self.backoff.reset();
        }
        event(result)
    }

    /// Whether rows that were committed as stored are gone. The last records of the gap are looked at: those that are no
    /// rows, or that lie in dead letters, are rightly absent.
    async fn examine_gap(&self, offsets: Range<u64>) -> Event {
        let partition = i32::try_from(self.partition).unwrap_or(i32::MAX);
        for offset in offsets.clone().rev().take(EXAMINED_RECORDS) {
            let position = i64::try_from(offset).unwrap_or(i64::MAX);
            let record = match read_record(&self.kafka, &self.topic, partition, position).await {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) => return failed(&error),
            };
            let mut batch = Batch::new(self.table, &self.topic, self.epoch, self.partition);
            if decode::push(&mut batch, self.table, &record).is_err() || batch.is_empty() {
                continue;
            }
            match self.warehouse.is_dead_letter(&self.topic, self.partition, offset).await {
                Ok(true) => {}
                Ok(false) => {
                    self.tell_of_gap(&offsets);
                    return Event::Succeeded;
                }
                Err(error) => return failed(&error),
            }
        }
        Event::Succeeded
    }

    fn tell_of_gap(&self, offsets: &Range<u64>) {
        ::metrics::counter!(metrics::GAPS, "table" => self.table.name()).increment(1);
        tracing::error!(
            topic = self.topic,
            partition = self.partition,
            first = offsets.start,
            last = offsets.end - 1,
            "rows that were committed as stored are not in ClickHouse: was it restored from an older backup, or were rows \
             deleted? Kafka still holds them. To store them again, stop every sink, run `outcry reread {topic} {partition}@{start}`, \
             and start the sinks: what is stored already is not stored again",
            topic = self.topic,
            partition = self.partition,
            start = offsets.start,
        );
    }

    /// The server refuses this row. Its record is read again, so that what is kept is what was received.
    async fn dead_letter(&self, batch: &Batch, reason: &str) -> Event {
        let offset = i64::try_from(batch.first()).unwrap_or(i64::MAX);
        let partition = i32::try_from(self.partition).unwrap_or(i32::MAX);
        if self.table == StoredTable::DeadLetters {
            return Event::Failed(format!(
                "ClickHouse refuses a dead letter, which has nowhere further to go: {reason}"
            ));
        }
        let record = match read_record(&self.kafka, &self.topic, partition, offset).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                tracing::error!(topic = self.topic, partition, offset, "a refused record is no longer in Kafka");
                return Event::Succeeded;
            }
            Err(error) => return Event::Failed(error.to_string()),
        };
        ::metrics::counter!(metrics::REJECTED, "table" => self.table.name(), "reason" => "refused_by_clickhouse")
            .increment(1);
        let detail: String = reason.chars().take(300).collect();
        let now: Timestamp = self.clock.now();
        let letter = letter_from_record(&record, "sink", "refused_by_clickhouse", &detail, now);
        let sent = self
            .publisher
            .dead_letter_with_headers(&letter, record.key.as_deref(), &record.payload, &record.headers)
            .await;
        match sent {
            Ok(_) => Event::Succeeded,
            Err(error) => Event::Failed(error.to_string()),
        }
    }
}

fn event(result: InsertResult) -> Event {
    match result {
        InsertResult::Stored => Event::Succeeded,
        InsertResult::Fenced => Event::Fenced,
        InsertResult::Rejected { code, message } => Event::Rejected(format!("error {code}: {message}")),
        InsertResult::Ambiguous(problem) => Event::Ambiguous(problem),
        InsertResult::Unavailable(problem) => Event::Failed(problem),
    }
}

fn failed(error: &dyn std::error::Error) -> Event {
    Event::Failed(error.to_string())
}

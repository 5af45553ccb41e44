//! One partition: collect a batch, write it, and meanwhile collect the next.

use crate::{
    config::{Config, Sink},
    core::{Command, Core},
    decode::{self, Refusal},
    failpoint, metrics,
    perform::Performer,
};
use outcry_kafka::{
    KafkaConfig, Partition, PartitionWorker, Publisher, Record, RejectLimit, WorkerStop, letter_from_record, topic_ids,
};
use outcry_runtime::{Backoff, Clock, Component, Context};
use outcry_warehouse::{Batch, StoredTable, Warehouse};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

pub(crate) struct Worker {
    settings: Sink,
    kafka: KafkaConfig,
    warehouse: Warehouse,
    publisher: Publisher,
    clock: Arc<dyn Clock>,
    health: Component,
    limit: Mutex<RejectLimit>,
}

/// What is collected for the next INSERT.
struct Building {
    batch: Batch,
    backlog: VecDeque<Record>,
    /// The last offset looked at, whether it gave a row or a dead letter.
    through: Option<i64>,
    since: Option<Instant>,
    /// The next record cannot be read by this release: what came before it is written, then the partition is held.
    hold: Option<String>,
}

impl Worker {
    pub(crate) fn new(config: &Config, warehouse: Warehouse, publisher: Publisher, context: &Context) -> Self {
        let health = context.health.component("clickhouse");
        Self {
            settings: config.sink.clone(),
            kafka: config.kafka.clone(),
            warehouse,
            publisher,
            clock: Arc::clone(&context.clock),
            health,
            limit: Mutex::default(),
        }
    }

    /// Waits for a warehouse with our schema, and finds the topic's epoch in it.
    async fn prepare(&self, partition: &Partition) -> Option<u16> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
        let revoked = partition.revoked();
        loop {
            match self.find_epoch(&partition.topic).await {
                Ok(epoch) => {
                    self.health.ready();
                    return Some(epoch);
                }
                Err(error) => {
                    tracing::warn!(topic = %partition.topic, error = format!("{error:#}"), "not ready to write; trying again");
                    self.health.not_ready(format!("{error:#}"));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = revoked.cancelled() => return None,
            }
        }
    }

    async fn find_epoch(&self, topic: &str) -> anyhow::Result<u16> {
        self.warehouse.check_schema().await?;
        let ids = topic_ids(&self.kafka, &[topic.to_owned()]).await?;
        let id = ids.get(topic).ok_or_else(|| anyhow::anyhow!("Kafka does not tell the id of {topic}"))?;
        Ok(self.warehouse.assign_epoch(topic, &format!("{:032x}", id.0)).await?)
    }

    /// Fills the batch from the backlog, as far as it has room.
    async fn fill(&self, building: &mut Building, table: StoredTable) -> Result<(), WorkerStop> {
        while self.has_room(building) {
            let Some(record) = building.backlog.pop_front() else { break };
            let rejected = match decode::push(&mut building.batch, table, &record) {
                Ok(()) => false,
                Err(Refusal::UnknownVersion(version)) => {
                    building.hold = Some(format!(
                        "{record:?} has schema version {version}, which this release does not know: upgrade the sink"
                    ));
                    return Ok(());
                }
                Err(Refusal::Rejected { reason, detail }) => {
                    self.reject(&record, table, reason, &detail).await?;
                    true
                }
            };
            building.through = Some(record.offset);
            building.since.get_or_insert_with(Instant::now);
            if self.limit.lock().unwrap_or_else(PoisonError::into_inner).record(rejected) {
                return Err(WorkerStop::Hold(
                    "more than a quarter of the last 1,000 records cannot be decoded: something other than single bad \
                     records is wrong. Look at `outcry dead-letters list`, then restart the sink"
                        .into(),
                ));
            }
        }
        Ok(())
    }

    fn has_room(&self, building: &Building) -> bool {
        building.hold.is_none()
            && building.batch.len() < self.settings.max_rows
            && building.batch.bytes() < self.settings.max_bytes
    }

    async fn reject(
        &self,
        record: &Record,
        table: StoredTable,
        reason: &'static str,
        detail: &str,
    ) -> Result<(), WorkerStop> {
        ::metrics::counter!(metrics::REJECTED, "table" => table.name(), "reason" => reason).increment(1);
        tracing::warn!(record = ?record, reason, detail, "into dead letters");
        let letter = letter_from_record(record, "sink", reason, detail, self.clock.now());
        self.publisher
            .dead_letter_with_headers(&letter, record.key.as_deref(), &record.payload, &record.headers)
            .await
            .map(drop)
            .map_err(|error| WorkerStop::Hold(format!("a refused record does not fit into dead letters: {error}")))
    }

    /// Until the batch is stored, or the partition is taken away.
    async fn write(&self, core: &mut Core<Batch>, performer: &mut Performer, batch: Batch) -> bool {
        #[cfg(feature = "controls")]
        if crate::controls::by_token() {
            return crate::controls::write_by_token(performer, &batch).await;
        }
        let already_stored = core.already_stored;
        core.begin(batch);
        while !core.is_done() {
            if performer.revoked.is_cancelled() && !matches!(core.command(), Command::Insert(_)) {
                failpoint::at("sink::in_rebalance");
                return false;
            }
            let command = core.command();
            if let Command::WaitAndRetry(problem) = &command {
                self.health.not_ready(*problem);
            }
            let event = performer.perform(command).await;
            core.on(event);
        }
        self.health.ready();
        // Whatever it took, this batch is stored: the next one's troubles are its own.
        performer.backoff.reset();
        let found = core.already_stored - already_stored;
        if found > 0 {
            tracing::info!(
                topic = performer.topic,
                partition = performer.partition,
                rows = found,
                "stored already; not inserted again"
            );
            ::metrics::counter!(metrics::ALREADY_STORED, "table" => performer.table.name()).increment(found);
        }
        true
    }
}

impl PartitionWorker for Worker {
    async fn work(&self, mut partition: Partition) -> Result<(), WorkerStop> {
        let Some(topic) = self.kafka.topic_of_name(&partition.topic) else {
            return Err(WorkerStop::Fatal(anyhow::anyhow!("{} is not a topic of the sink", partition.topic)));
        };
        let table = decode::table_of(topic);
        let Some(epoch) = self.prepare(&partition).await else { return Ok(()) };
        let number = u32::try_from(partition.partition).unwrap_or_default();
        let name = partition.topic.to_string();
        let fresh = |batch| Building { batch, backlog: VecDeque::new(), through: None, since: None, hold: None };
        let mut performer = Performer {
            warehouse: self.warehouse.clone(),
            publisher: self.publisher.clone(),
            kafka: self.kafka.clone(),
            clock: Arc::clone(&self.clock),
            table,
            topic: name.clone(),
            partition: number,
            epoch,
            fence: None,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(15)),
            revoked: partition.revoked(),
        };
        let mut core = Core::default();
        let mut building = fresh(Batch::new(table, &name, epoch, number));
        let mut spare = Batch::new(table, &name, epoch, number);
        loop {
            if !self.collect(&mut building, &mut partition, table).await? {
                return Ok(());
            }
            let mut next = fresh(spare);
            std::mem::swap(&mut next.backlog, &mut building.backlog);
            let (through, hold) = (building.through, building.hold.take());
            failpoint::at("sink::encoded");
            #[cfg(feature = "controls")]
            crate::controls::commit_first(&partition, through).await;
            let mut open = true;
            let stored = {
                let write = self.write(&mut core, &mut performer, building.batch.clone());
                tokio::pin!(write);
                loop {
                    tokio::select! {
                        stored = &mut write => break stored,
                        records = partition.next(), if open && next.backlog.is_empty() => match records {
                            Some(records) => {
                                next.backlog.extend(records);
                                self.fill(&mut next, table).await?;
                                let_go(&partition, &next);
                            }
                            None => open = false,
                        },
                    }
                }
            };
            if !stored {
                return Ok(());
            }
            failpoint::at("sink::before_commit");
            if let Some(offset) = through {
                partition.complete_through(offset);
                failpoint::after("sink::after_commit", Duration::from_millis(1300));
            }
            if let Some(reason) = hold {
                return Err(WorkerStop::Hold(reason));
            }
            if !open {
                failpoint::at("sink::in_rebalance");
                return Ok(());
            }
            spare = std::mem::replace(&mut building, next).batch.emptied();
        }
    }
}

impl Worker {
    /// Collects until the batch is full or old enough; `false` when the partition is taken away.
    async fn collect(
        &self,
        building: &mut Building,
        partition: &mut Partition,
        table: StoredTable,
    ) -> Result<bool, WorkerStop> {
        self.fill(building, table).await?;
        let_go(partition, building);
        while self.has_room(building) {
            let deadline = building.since.map(|since| since + self.settings.flush_interval());
            let records = match deadline {
                Some(deadline) => match tokio::time::timeout_at(deadline, partition.next()).await {
                    Ok(records) => records,
                    Err(_) => break,
                },
                None => partition.next().await,
            };
            let Some(records) = records else {
                failpoint::at("sink::in_rebalance");
                return Ok(false);
            };
            failpoint::at("sink::polled");
            building.backlog.extend(records);
            self.fill(building, table).await?;
            let_go(partition, building);
        }
        Ok(true)
    }
}

/// What was encoded is bounded by the batch's own size, and its records take no more room.
fn let_go(partition: &Partition, building: &Building) {
    if let Some(offset) = building.through {
        partition.release_through(offset);
    }
}

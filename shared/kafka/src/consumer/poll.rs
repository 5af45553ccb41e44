//! The poll thread.

use super::{
    ConsumerFailed, ConsumerOptions, MAX_POLL_INTERVAL, Partition, PartitionWorker, WorkerStop,
    intake::{Intake, Round},
    partition::Progress,
    rebalance::{Assigned, Position, Rebalances},
};
use crate::{KafkaConfig, KafkaError, metrics};
use outcry_runtime::{Component, Context};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError as RdKafkaError, RDKafkaErrorCode},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the thread rests when nothing came. Records wake it at once; rebalances wait for it.
const REST: Duration = Duration::from_millis(50);
/// How long it rests while a partition waits for room.
const REST_WHILE_FULL: Duration = Duration::from_millis(5);
const HOUSEKEEPING: Duration = Duration::from_millis(20);
/// A member that was given nothing by then is a spare.
const SPARE_AFTER: Duration = Duration::from_secs(30);
const RESTART_DELAY: Duration = Duration::from_secs(1);
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// After an error the consumer is ready again once it read something, or heard of no further error for this long.
const TROUBLE: Duration = Duration::from_secs(10);

/// When the poll thread last polled.
#[derive(Clone)]
pub(super) struct Heartbeat {
    started: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Heartbeat {
    fn beat(&self) {
        self.last_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

pub(super) struct Poller<W> {
    intake: Intake,
    options: ConsumerOptions,
    context: Context,
    health: Component,
    worker: Arc<W>,
    runtime: tokio::runtime::Handle,
    heartbeat: Heartbeat,
    read: u64,
    started: Instant,
    next_report: Instant,
    trouble_until: Option<Instant>,
    fatal: Option<anyhow::Error>,
}

impl<W: PartitionWorker> Poller<W> {
    pub(super) fn new(
        config: &KafkaConfig,
        options: ConsumerOptions,
        context: &Context,
        worker: Arc<W>,
    ) -> Result<Self, KafkaError> {
        let group = format!("{}{}", config.topic_prefix, options.group);
        let mut settings = config.client(&options.group);
        settings
            .set("group.id", &group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", config.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (config.session_timeout_ms / 10).clamp(300, 3000).to_string())
            .set("max.poll.interval.ms", MAX_POLL_INTERVAL.as_millis().to_string())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // Of each partition: what waits in librdkafka beside what the workers hold.
            .set("queued.max.messages.kbytes", "2048")
            .set("queued.min.messages", "20000")
            // As they are on the wire: compressed, and several times as much in memory. A larger record is fetched all the same.
            .set("fetch.message.max.bytes", (256 * 1024).to_string())
            .set("fetch.max.bytes", (4 * 1024 * 1024).to_string())
            // One second by default: a queue that was full for a moment would hold its partition up for that long.
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.wait.max.ms", "100")
            .set("allow.auto.create.topics", "false");
        if let Some(instance) = &config.instance_id {
            settings.set("group.instance.id", format!("{}-{instance}", options.group));
        }
        let rebalances = Rebalances {
            group: options.group.clone(),
            assigned: Mutex::default(),
            newcomers: Mutex::default(),
            gone: Mutex::default(),
        };
        let consumer: BaseConsumer<Rebalances> =
            settings.create_with_context(rebalances).map_err(|source| config.error("making a consumer", source))?;
        let names: Vec<String> = options.topics.iter().map(|topic| config.topic_name(*topic)).collect();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer.subscribe(&borrowed).map_err(|source| config.error("subscribing", source))?;
        Ok(Self {
            health: context.health.component(&format!("consumer {}", options.group)),
            context: context.clone(),
            intake: Intake::new(consumer, &names),
            worker,
            runtime: tokio::runtime::Handle::current(),
            heartbeat: Heartbeat { started: Instant::now(), last_ms: Arc::default() },
            options,
            read: 0,
            started: Instant::now(),
            next_report: Instant::now(),
            trouble_until: None,
            fatal: None,
        })
    }

    pub(super) fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Until shutdown, or until a worker stops fatally.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let mut next_commit = Instant::now() + self.options.commit_interval;
        let mut next_housekeeping = Instant::now();
        let outcome = loop {
            if self.context.shutdown.is_cancelled() {
                break Ok(());
            }
            self.heartbeat.beat();
            let rest = self.poll_round();
            self.start_newcomers();
            self.hand_over();
            if let Some(error) = self.fatal.take() {
                break Err(error);
            }
            let now = Instant::now();
            if now >= next_housekeeping {
                next_housekeeping = now + HOUSEKEEPING;
                if let Err(error) = self.look_after_workers(now) {
                    break Err(error);
                }
            }
            if now >= next_commit {
                next_commit = now + self.options.commit_interval;
                self.commit();
            }
            if let Some(rest) = rest {
                std::thread::park_timeout(rest);
            }
        };
        self.close();
        outcome
    }

    /// Takes in what is there and has room; how long to rest if that was nothing.
    fn poll_round(&mut self) -> Option<Duration> {
        let room = self.room();
        let Round { records, full, trouble } = self.intake.take(&room);
        if let Some(error) = trouble {
            self.report(&error);
        }
        if records == 0 {
            return Some(if full { REST_WHILE_FULL } else { REST });
        }
        self.read += records as u64;
        self.trouble_until = None;
        ::metrics::counter!(metrics::CONSUMED, "group" => self.options.group.clone()).increment(records as u64);
        None
    }

    /// Bytes that may be taken in of each partition. The allowance is shared among those that hold anything: idle topics
    /// need no room.
    fn room(&self) -> HashMap<Position, usize> {
        let assigned = self.intake.consumer.context().assigned();
        let held: HashMap<&Position, usize> = assigned
            .iter()
            .map(|(position, partition)| (position, partition.progress.frontier().outstanding_bytes()))
            .collect();
        let active = held.values().filter(|bytes| **bytes > 0).count();
        let share = self.options.max_outstanding_bytes / active.max(1);
        ::metrics::gauge!(metrics::OUTSTANDING_BYTES, "group" => self.options.group.clone())
            .set(held.values().sum::<usize>() as f64);
        let room = |position: &Position, bytes: usize| {
            let stands_still = assigned.get(position).is_none_or(|of| of.held || of.restart_at.is_some());
            if stands_still { 0 } else { share.saturating_sub(bytes) }
        };
        held.iter().map(|(position, bytes)| ((*position).clone(), room(position, *bytes))).collect()
    }

    fn report(&mut self, error: &RdKafkaError) {
        if matches!(error, RdKafkaError::MessageConsumptionFatal(_)) {
            self.fatal = Some(anyhow::Error::new(ConsumerFailed(format!(
                "the consumer {} failed for good: {error}. If another replica runs with the same kafka.instance_id, give each its own",
                self.options.group
            ))));
        }
        let advice = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                "a topic is missing: create the topics with `outcry migrate`"
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                "no broker answers; trying again"
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
                "the brokers refuse this user: check its ACLs"
            }
            _ => "reading goes on",
        };
        self.health.not_ready(format!("{advice} ({error})"));
        // A broker that is down is said every few seconds, not at every try.
        let now = Instant::now();
        self.trouble_until = Some(now + TROUBLE);
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            tracing::warn!(group = self.options.group, %error, advice, "kafka consumer");
        }
    }

    fn start_newcomers(&mut self) {
        let consumer = Arc::clone(&self.intake.consumer);
        let rebalances = consumer.context();
        let newcomers = std::mem::take(&mut *rebalances.newcomers.lock().unwrap_or_else(PoisonError::into_inner));
        for (position, committed) in newcomers {
            // What was polled before a worker stood belongs to this assignment and follows.
            self.intake.open(&position);
            let assigned = self.start(&position, committed);
            rebalances.assigned().insert(position, assigned);
        }
        let assigned = rebalances.assigned();
        let held = assigned.values().any(|partition| partition.held);
        let troubled = self.trouble_until.is_some_and(|until| Instant::now() < until);
        // A replica beyond the number of partitions never gets one, and is a ready spare all the same.
        if !held && !troubled && (!assigned.is_empty() || self.started.elapsed() > SPARE_AFTER) {
            self.health.ready();
        }
    }

    fn start(&self, position: &Position, committed: Option<i64>) -> Assigned {
        let (sender, records) = tokio::sync::mpsc::unbounded_channel();
        let progress = Arc::new(Progress::default());
        let revoked = self.context.shutdown.child_token();
        let partition = Partition {
            topic: position.0.clone(),
            partition: position.1,
            committed,
            records,
            revoked: revoked.clone(),
            progress: Arc::clone(&progress),
        };
        let worker = Arc::clone(&self.worker);
        let task = self.runtime.spawn(async move { worker.work(partition).await });
        Assigned { progress, revoked, sender, task, held: false, committed, restart_at: None, went_back_to: None }
    }

    fn hand_over(&mut self) {
        let Intake { consumer, batches, .. } = &mut self.intake;
        let mut assigned = consumer.context().assigned();
        for (position, batch) in batches.drain() {
            // Records of a partition that went meanwhile are read by its next owner.
            let Some(partition) = assigned.get_mut(&position) else { continue };
            if partition.held || partition.restart_at.is_some() {
                continue;
            }
            let mut frontier = partition.progress.frontier();
            let first_behind = batch.iter().position(|record| !frontier.hand_out(record.offset, record.size()));
            drop(frontier);
            if let Some(index) = first_behind {
                // The topic was created again, or its log was cut: offsets mean other records now.
                let offset = batch[index].offset;
                tracing::error!(topic = %position.0, partition = position.1, offset, "the log went back; starting over from there");
                partition.went_back_to = Some(offset);
                partition.restart_at = Some(Instant::now());
                partition.revoked.cancel();
                continue;
            }
            // A worker that ended is found by housekeeping, which seeks back to the frontier.
            let _ = partition.sender.send(batch);
        }
    }

    fn look_after_workers(&mut self, now: Instant) -> anyhow::Result<()> {
        let mut restarts = Vec::new();
        {
            let mut assigned = self.intake.consumer.context().assigned();
            let ended: Vec<Position> = assigned
                .iter()
                .filter(|(_, partition)| partition.task.is_finished() && !partition.held)
                .map(|(position, _)| position.clone())
                .collect();
            for position in ended {
                let Some(partition) = assigned.get_mut(&position) else { continue };
                match partition.restart_at {
                    Some(at) if now < at => {}
                    Some(_) => restarts.push(position),
                    None => self.ended(&position, partition, now)?,
                }
            }
        }
        for position in restarts {
            self.restart(&position);
        }
        Ok(())
    }

    fn ended(&self, (topic, number): &Position, partition: &mut Assigned, now: Instant) -> anyhow::Result<()> {
        if partition.revoked.is_cancelled() {
            return Ok(());
        }
        let outcome = self.runtime.block_on(&mut partition.task);
        match outcome {
            Ok(Err(WorkerStop::Fatal(error))) => {
                return Err(error.context(format!("working on {topic}/{number}")));
            }
            Ok(Err(WorkerStop::Hold(reason))) => {
                tracing::error!(%topic, partition = number, reason, "this partition stays where it is until a person acts");
                self.health.not_ready(format!("{topic}/{number} stays where it is: {reason}"));
                partition.held = true;
                return Ok(());
            }
            Ok(Err(WorkerStop::Restart(reason))) => {
                tracing::warn!(%topic, partition = number, reason, "starting again from the last complete offset");
            }
            Ok(Ok(())) => tracing::warn!(%topic, partition = number, "a worker ended early; starting again"),
            Err(error) => tracing::error!(%topic, partition = number, %error, "a worker panicked; starting again"),
        }
        // The handle was consumed; a finished one takes its place so that nobody polls it twice.
        partition.task = self.runtime.spawn(async { Ok(()) });
        partition.restart_at = Some(now + RESTART_DELAY);
        Ok(())
    }

    /// Reads again from the frontier, with a fresh worker.
    fn restart(&mut self, position: &Position) {
        let (rewind, committed) = {
            let assigned = self.intake.consumer.context().assigned();
            let Some(partition) = assigned.get(position) else { return };
            let frontier = partition.progress.frontier();
            match partition.went_back_to {
                Some(offset) => (Some(offset), None),
                None => (frontier.lowest_outstanding().or(partition.committed), partition.committed),
            }
        };
        let offset = rewind.map_or(Offset::Beginning, Offset::Offset);
        if let Err(error) = self.intake.consumer.seek(&position.0, position.1, offset, Duration::from_secs(10)) {
            tracing::warn!(topic = %position.0, partition = position.1, %error, "going back to the frontier; trying again");
            if let Some(partition) = self.intake.consumer.context().assigned().get_mut(position) {
                partition.restart_at = Some(Instant::now() + RESTART_DELAY);
            }
            return;
        }
        self.intake.batches.remove(position);
        let mut fresh = self.start(position, rewind);
        fresh.committed = committed;
        self.intake.consumer.context().assigned().insert(position.clone(), fresh);
    }

    /// Commits each partition's frontier, synchronously.
    fn commit(&self) {
        let mut offsets = TopicPartitionList::new();
        let mut advanced = Vec::new();
        for ((topic, number), partition) in self.intake.consumer.context().assigned().iter() {
            let Some(offset) = partition.committable() else { continue };
            if offsets.add_partition_offset(topic, *number, Offset::Offset(offset)).is_ok() {
                advanced.push(((topic.clone(), *number), offset));
            }
        }
        if advanced.is_empty() {
            return;
        }
        let outcome = self.intake.consumer.commit(&offsets, CommitMode::Sync);
        let result = if outcome.is_ok() { "done" } else { "failed" };
        ::metrics::counter!(metrics::COMMITS, "group" => self.options.group.clone(), "result" => result).increment(1);
        match outcome {
            Ok(()) => {
                let mut assigned = self.intake.consumer.context().assigned();
                for (position, offset) in advanced {
                    if let Some(partition) = assigned.get_mut(&position) {
                        partition.committed = Some(offset);
                    }
                }
            }
            Err(error) => tracing::warn!(group = self.options.group, %error, "committing; trying again"),
        }
    }

    /// Lets go of everything, commits what was done, and leaves the group.
    fn close(self) {
        let positions: Vec<Position> = self.intake.consumer.context().assigned().keys().cloned().collect();
        let offsets = self.intake.consumer.context().let_go(&positions);
        if offsets.count() > 0
            && let Err(error) = self.intake.consumer.commit(&offsets, CommitMode::Sync)
        {
            tracing::warn!(group = self.options.group, %error, "the last commit; its records will be read again");
        }
        tracing::info!(group = self.options.group, records = self.read, "consumer stopped");
        // Closing can hang in the C library (librdkafka #509, #453): it gets a thread of its own and a bounded wait.
        let (sender, closed) = std::sync::mpsc::channel();
        let consumer = self.intake.close();
        std::thread::spawn(move || {
            consumer.unsubscribe();
            drop(consumer);
            let _ = sender.send(());
        });
        if closed.recv_timeout(Duration::from_secs(8)).is_err() {
            tracing::warn!("leaving the consumer group took too long; the broker will notice by itself");
        }
    }
}

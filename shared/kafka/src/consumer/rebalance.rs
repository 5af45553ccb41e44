//! Partitions come and go: the callbacks, which run on the poll thread inside `poll`.

use super::{REVOKE_BUDGET, partition::Progress};
use crate::metrics;
use outcry_runtime::CancellationToken;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::KafkaError,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(crate) type Position = (Arc<str>, i32);

/// One assigned partition, as the poll thread knows it.
pub(crate) struct Assigned {
    pub(crate) progress: Arc<Progress>,
    pub(crate) revoked: CancellationToken,
    pub(crate) sender: tokio::sync::mpsc::UnboundedSender<Vec<crate::Record>>,
    pub(crate) task: tokio::task::JoinHandle<Result<(), super::WorkerStop>>,
    pub(crate) held: bool,
    pub(crate) committed: Option<i64>,
    pub(crate) restart_at: Option<Instant>,
    /// The log went back to this offset: what the worker knows of it is void.
    pub(crate) went_back_to: Option<i64>,
}

impl Assigned {
    /// What to commit, if that is news.
    pub(crate) fn committable(&self) -> Option<i64> {
        if self.went_back_to.is_some() {
            return None;
        }
        self.progress.frontier().committable().filter(|offset| self.committed != Some(*offset))
    }
}

/// What the callbacks share with the poll loop; both run on the same thread, the lock is for the compiler.
pub(crate) struct Rebalances {
    pub(crate) group: String,
    pub(crate) assigned: Mutex<HashMap<Position, Assigned>>,
    /// Partitions that were just assigned and have no worker yet.
    pub(crate) newcomers: Mutex<Vec<(Position, Option<i64>)>>,
    /// Partitions that went: what was polled of them and not handed over belongs to their next owner, who may be us.
    pub(crate) gone: Mutex<Vec<Position>>,
}

impl Rebalances {
    pub(crate) fn assigned(&self) -> MutexGuard<'_, HashMap<Position, Assigned>> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the workers of these partitions to let go, waits for them within the budget, and gives what to commit.
    pub(crate) fn let_go(&self, positions: &[Position]) -> TopicPartitionList {
        let mut assigned = self.assigned();
        let mut leaving: Vec<(Position, Assigned)> =
            positions.iter().filter_map(|position| assigned.remove_entry(position)).collect();
        drop(assigned);
        leaving.iter().for_each(|(_, partition)| partition.revoked.cancel());
        let deadline = Instant::now() + REVOKE_BUDGET;
        while leaving.iter().any(|(_, partition)| !partition.task.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut offsets = TopicPartitionList::new();
        for ((topic, number), partition) in &mut leaving {
            if !partition.task.is_finished() {
                tracing::error!(%topic, partition = *number, "a worker did not let go of its partition in time and was stopped");
                partition.task.abort();
            }
            if let Some(offset) = partition.committable() {
                // The list grows by a partition that is not in it yet: there is nothing to refuse.
                let _ = offsets.add_partition_offset(topic, *number, Offset::Offset(offset));
            }
        }
        offsets
    }
}

impl ClientContext for Rebalances {
    fn error(&self, error: KafkaError, reason: &str) {
        // The poll loop says it once, with advice.
        tracing::debug!(group = self.group, %error, reason, "kafka consumer");
    }
}

fn positions(list: &TopicPartitionList) -> Vec<Position> {
    list.elements().iter().map(|element| (element.topic().into(), element.partition())).collect()
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let lost = consumer.assignment_lost();
        let kind = if lost { "lost" } else { "revoked" };
        ::metrics::counter!(metrics::REBALANCES, "group" => self.group.clone(), "kind" => kind).increment(1);
        tracing::info!(group = self.group, partitions = list.count(), kind, "partitions go");
        let gone = positions(list);
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        newcomers.retain(|(position, _)| !gone.contains(position));
        drop(newcomers);
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).extend(gone);
        let offsets = self.let_go(&positions(list));
        if lost || offsets.count() == 0 {
            return;
        }
        if let Err(error) = consumer.commit(&offsets, CommitMode::Sync) {
            tracing::warn!(group = self.group, %error, "committing what was done before the partitions went; it will be read again");
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(list) = rebalance else { return };
        ::metrics::counter!(metrics::REBALANCES, "group" => self.group.clone(), "kind" => "assigned").increment(1);
        tracing::info!(group = self.group, partitions = list.count(), "partitions come");
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in positions(list) {
            asked.add_partition(&topic, partition);
        }
        let committed = consumer.committed_offsets(asked, Duration::from_secs(15));
        if let Err(error) = &committed {
            tracing::warn!(group = self.group, %error, "asking what was committed");
        }
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, partition) in positions(list) {
            let offset =
                committed.as_ref().ok().and_then(|list| list.find_partition(&topic, partition)).and_then(|found| {
                    match found.offset() {
                        Offset::Offset(offset) => Some(offset),
                        _ => None,
                    }
                });
            newcomers.push(((topic, partition), offset));
        }
    }
}

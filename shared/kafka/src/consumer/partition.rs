//! What a worker holds of its partition.

use crate::{Delivered, Frontier, PublishError, Record};
use outcry_runtime::CancellationToken;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

/// Progress of one assignment of a partition, shared by the poll thread, its worker and delivery reports.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    frontier: Mutex<Frontier>,
    failures: Mutex<Vec<(i64, PublishError)>>,
    failed: Notify,
}

impl Progress {
    pub(crate) fn frontier(&self) -> MutexGuard<'_, Frontier> {
        self.frontier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A partition in the hands of its worker.
pub struct Partition {
    /// Full name of the topic.
    pub topic: Arc<str>,
    /// Number.
    pub partition: i32,
    /// The committed offset: the first that will be read. `None` if nothing was ever committed.
    pub committed: Option<i64>,
    pub(crate) records: mpsc::UnboundedReceiver<Vec<Record>>,
    pub(crate) revoked: CancellationToken,
    pub(crate) progress: Arc<Progress>,
}

impl Partition {
    /// The next records, in order; `None` when the partition is taken away or the service stops. What was handed out and
    /// is not complete by then is read again by whoever gets the partition. Empty when a delivery failed: a worker whose
    /// memory is full gets no records, and must hear of it all the same.
    pub async fn next(&mut self) -> Option<Vec<Record>> {
        tokio::select! {
            biased;
            () = self.revoked.cancelled() => None,
            () = self.progress.failed.notified() => Some(Vec::new()),
            records = self.records.recv() => records,
        }
    }

    /// Resolves when the partition is taken away or the service stops.
    pub fn revoked(&self) -> CancellationToken {
        self.revoked.clone()
    }

    /// Every record up to and including `offset` is done.
    pub fn complete_through(&self, offset: i64) {
        self.progress.frontier().complete_through(offset);
    }

    /// Nothing is held any more of the records up to and including `offset`: others may be taken in, though these are not
    /// done.
    pub fn release_through(&self, offset: i64) {
        self.progress.frontier().release_through(offset);
    }

    /// This record is done.
    pub fn complete(&self, offset: i64) {
        self.progress.frontier().complete(offset);
    }

    /// Something to complete this record with later, from anywhere.
    pub fn completion(&self, offset: i64) -> Completion {
        Completion { progress: Arc::clone(&self.progress), offset }
    }

    /// Deliveries on behalf of this partition that failed since the last call, with the offsets they were for. What may
    /// pass is a reason to start again; what can never be delivered is a reason for a dead letter.
    pub fn take_failures(&self) -> Vec<(i64, PublishError)> {
        std::mem::take(&mut self.progress.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records handed out and not done.
    pub fn outstanding(&self) -> usize {
        self.progress.frontier().outstanding()
    }
}

/// Completes one record when what was published on its behalf is delivered.
#[derive(Debug)]
pub struct Completion {
    progress: Arc<Progress>,
    offset: i64,
}

impl Completion {
    /// The record is done.
    pub fn done(self) {
        self.progress.frontier().complete(self.offset);
    }

    pub(crate) fn report(self, outcome: Result<Delivered, PublishError>) {
        match outcome {
            Ok(_) => self.done(),
            Err(error) => {
                let mut failures = self.progress.failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push((self.offset, error));
                self.progress.failed.notify_one();
            }
        }
    }
}

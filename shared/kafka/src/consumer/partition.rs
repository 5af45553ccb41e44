//! What a worker holds of its partition.

use crate::{Delivered, Frontier, PublishError, Record};
use outcry_runtime::CancellationToken;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

/// Progress of one assignment of a partition, shared by the poll thread, its worker and delivery reports.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    frontier: Mutex<Frontier>,
    failure: Mutex<Option<PublishError>>,
    changed: Notify,
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
    /// is not complete by then is read again by whoever gets the partition.
    pub async fn next(&mut self) -> Option<Vec<Record>> {
        tokio::select! {
            biased;
            () = self.revoked.cancelled() => None,
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
        self.progress.changed.notify_waiters();
    }

    /// This record is done.
    pub fn complete(&self, offset: i64) {
        self.progress.frontier().complete(offset);
        self.progress.changed.notify_waiters();
    }

    /// Something to complete this record with later, from anywhere.
    pub fn completion(&self, offset: i64) -> Completion {
        Completion { progress: Arc::clone(&self.progress), offset }
    }

    /// The first delivery that failed on behalf of this partition; the worker then stops with a restart.
    pub fn failure(&self) -> Option<PublishError> {
        self.progress.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until everything handed out is done, or a delivery failed.
    pub async fn drained(&self) -> Result<(), PublishError> {
        loop {
            let changed = self.progress.changed.notified();
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if self.progress.frontier().outstanding() == 0 {
                return Ok(());
            }
            // The reports notify without holding a lock; the timeout covers the window between check and wait.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), changed).await;
        }
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
        self.progress.changed.notify_waiters();
    }

    pub(crate) fn report(self, outcome: Result<Delivered, PublishError>) {
        match outcome {
            Ok(_) => self.done(),
            Err(error) => {
                let mut failure = self.progress.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
                drop(failure);
                self.progress.changed.notify_waiters();
            }
        }
    }
}

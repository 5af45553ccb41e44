//! Webhooks that keep coming, and the ledger of those that were answered 2xx.

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use outcry_runtime::CancellationToken;
use outcry_tests::phone::PhoneFront;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

const AT_ONCE: usize = 64;

/// A provider that posts.
pub struct Door {
    stop: CancellationToken,
    accepted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    task: JoinHandle<BTreeSet<String>>,
}

impl Door {
    /// Starts it; each event is of a call of its own and posted once: what is not answered 2xx is not in the ledger.
    pub fn open(front: &PhoneFront, per_second: u64) -> Self {
        let (front, stop) = (front.clone(), CancellationToken::new());
        let (accepted, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counts = (Arc::clone(&accepted), Arc::clone(&refused));
        let interval = Duration::from_micros(1_000_000 / per_second.max(1));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let ticks = stream::unfold(tokio::time::interval(interval), |mut ticks| async move {
                ticks.tick().await;
                Some(((), ticks))
            });
            let numbers = ticks.enumerate().take_until(stopped.cancelled_owned());
            let posted = numbers.map(|(number, ())| post(front.clone(), u32::try_from(number).unwrap_or(u32::MAX)));
            let answers = posted.buffer_unordered(AT_ONCE).inspect(|answer| {
                let count = if answer.is_some() { &counts.0 } else { &counts.1 };
                count.fetch_add(1, Ordering::Relaxed);
            });
            answers.filter_map(std::future::ready).collect().await
        });
        Self { stop, accepted, refused, task }
    }

    /// Answered 2xx so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Not answered 2xx so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Ends it and gives what was accepted.
    pub async fn close(self) -> Result<BTreeSet<String>> {
        self.stop.cancel();
        self.task.await.context("the provider panicked")
    }
}

async fn post(front: PhoneFront, number: u32) -> Option<String> {
    matches!(front.post_numbered(number).await, Ok(200..300)).then(|| number.to_string())
}

//! Durable before 2xx: Kafka on all replicas, or this machine's disk.
//!
//! While Kafka answers within [`DurableSettings::slow_after`], the spool is not touched. From the first record that Kafka
//! is late with, everything goes to the spool, so that no sender waits again and order is kept, until one task has taken the
//! spool's last record to Kafka. A record may reach Kafka twice this way: its id makes that harmless.

use crate::{
    MAX_PARCEL_BYTES, Parcel, metrics,
    spool::{AppendError, Entry, Spool},
};
use futures::{StreamExt, stream::FuturesOrdered};
use outcry_kafka::{PublishError, Publisher};
use outcry_runtime::{Backoff, Component, Context};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Records taken from the spool to Kafka at once, and their bytes.
const DRAIN_RECORDS: usize = 1000;
const DRAIN_BYTES: usize = 4 * 1024 * 1024;
/// How long the drain believes that nothing waits while the spool is in use.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Where records go: Kafka, or a test's stand-in.
pub trait Outlet: Send + Sync + 'static {
    /// Resolves when the record is on all replicas. May wait as long as it takes.
    fn deliver(&self, parcel: &Parcel) -> impl Future<Output = Result<(), Undeliverable>> + Send;
}

/// The outlet will not take a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    /// Never, whatever the weather.
    #[error("it can never be delivered: {0}")]
    Never(String),
    /// Not now.
    #[error("it cannot be delivered now: {0}")]
    NotNow(String),
}

/// The sender must not be told that all is well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    /// Larger than any record can be.
    #[error("the record is too large")]
    TooLarge,
    /// Kafka does not take it and the spool cannot.
    #[error("nowhere to keep it: {0}")]
    Full(AppendError),
}

/// When to stop waiting for Kafka.
#[derive(Clone, Debug)]
pub struct DurableSettings {
    /// A delivery report later than this is too late; the record goes to the spool.
    pub slow_after: Duration,
}

impl Default for DurableSettings {
    fn default() -> Self {
        Self { slow_after: Duration::from_secs(2) }
    }
}

impl Outlet for Publisher {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), Undeliverable> {
        let outcome = match parcel {
            Parcel::Record { topic, key, payload } => self.publish(*topic, key, payload.to_vec()).await,
            Parcel::DeadLetter { letter, payload } => self.dead_letter(letter, None, payload).await,
        };
        outcome.map(drop).map_err(|error| match &error {
            PublishError::TooLarge { .. } | PublishError::Unserialisable { .. } => {
                Undeliverable::Never(error.to_string())
            }
            PublishError::Undelivered { .. } => Undeliverable::NotNow(error.to_string()),
        })
    }
}

struct Inner<O> {
    outlet: O,
    spool: Spool,
    settings: DurableSettings,
    /// Everything goes to the spool until it is empty.
    spooling: AtomicBool,
    appended: Notify,
    health: Component,
}

/// The way to durability. Cheap to clone.
pub struct Durable<O> {
    inner: Arc<Inner<O>>,
}

impl<O> Clone for Durable<O> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<O: Outlet> Durable<O> {
    /// Starts the task that drains the spool. What is in it from before goes first; until then the component
    /// `spool` is not ready and new records line up behind.
    pub fn start(outlet: O, spool: Spool, settings: DurableSettings, context: &Context) -> Self {
        let health = context.health.component("spool");
        let inner = Arc::new(Inner {
            outlet,
            spool,
            settings,
            spooling: AtomicBool::new(true),
            appended: Notify::new(),
            health,
        });
        inner.appended.notify_one();
        let (drain, shutdown) = (inner.clone(), context.shutdown.clone());
        tokio::spawn(async move { shutdown.run_until_cancelled(drain.drain_for_ever()).await });
        Self { inner }
    }

    /// Durable when it returns `Ok`.
    pub async fn store(&self, parcel: Parcel) -> Result<(), NotDurable> {
        let inner = &self.inner;
        if !inner.spooling.load(Ordering::Acquire) {
            match tokio::time::timeout(inner.settings.slow_after, inner.outlet.deliver(&parcel)).await {
                Ok(Ok(())) => {
                    ::metrics::counter!(metrics::DURABLE, "path" => "kafka").increment(1);
                    return Ok(());
                }
                Ok(Err(Undeliverable::Never(problem))) => {
                    tracing::error!(problem, "durable.store: refused");
                    return Err(NotDurable::TooLarge);
                }
                Ok(Err(Undeliverable::NotNow(problem))) => inner.begin_spooling(&problem),
                Err(_) => inner.begin_spooling("no delivery report in time"),
            }
        }
        // A sender that hangs up drops this future at an await; the disk may have its record all the same. And even after a
        // failure there may be something to drain: the failure may be that the spool is full.
        let _wake = WakeTheDrain(&inner.appended);
        let bytes = parcel.encode();
        if bytes.len() > MAX_PARCEL_BYTES {
            return Err(NotDurable::TooLarge);
        }
        let stored = inner.spool.append(bytes).await.map_err(NotDurable::Full);
        if stored.is_ok() {
            ::metrics::counter!(metrics::DURABLE, "path" => "spool").increment(1);
        }
        stored
    }

    /// Durable when it returns `Ok`: all of them.
    pub async fn store_all(&self, parcels: impl IntoIterator<Item = Parcel>) -> Result<(), NotDurable> {
        let stored = futures::future::join_all(parcels.into_iter().map(|parcel| self.store(parcel))).await;
        stored.into_iter().collect()
    }
}

/// Tells the drain to look, whichever way a `store` ends.
struct WakeTheDrain<'a>(&'a Notify);

impl Drop for WakeTheDrain<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl<O: Outlet> Inner<O> {
    fn begin_spooling(&self, problem: &str) {
        if !self.spooling.swap(true, Ordering::AcqRel) {
            tracing::warn!(problem, "spool.begin: Kafka is slow or down; webhooks wait on this machine's disk");
            self.health.not_ready("Kafka is slow or down; webhooks are accepted into the spool and wait there");
        }
    }

    async fn drain_for_ever(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            self.something_to_drain().await;
            loop {
                match self.drain_once().await {
                    Ok(0) => break,
                    Ok(_) => backoff.reset(),
                    Err(error) => {
                        tracing::error!(%error, "spool.drain: trying again; check the disk of the spool");
                        tokio::time::sleep(backoff.next_delay()).await;
                    }
                }
            }
            if self.spooling.swap(false, Ordering::AcqRel) {
                tracing::debug!("spool.end: empty");
            }
            self.health.ready();
        }
    }

    /// Returns when told, and while spooling now and then of itself: the spool must not stay full, and the service not ready,
    /// because nobody said a word.
    async fn something_to_drain(&self) {
        while tokio::time::timeout(LOOK_AGAIN, self.appended.notified()).await.is_err() {
            if self.spooling.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Takes the oldest records to Kafka and acknowledges them; gives their number.
    async fn drain_once(&self) -> std::io::Result<usize> {
        let entries = self.spool.read(DRAIN_RECORDS, DRAIN_BYTES).await?;
        let Some((last, _)) = entries.last() else { return Ok(0) };
        let (last, count) = (*last, entries.len());
        let mut deliveries: FuturesOrdered<_> = entries.into_iter().map(|entry| self.deliver_entry(entry)).collect();
        while let Some(delivered) = deliveries.next().await {
            delivered?;
        }
        self.spool.acknowledge(last).await?;
        ::metrics::counter!(metrics::SPOOL_DRAINED).increment(count as u64);
        Ok(count)
    }

    async fn deliver_entry(&self, (behind, bytes): Entry) -> std::io::Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let problem = match Parcel::decode(&bytes) {
            Err(error) => error.to_string(),
            Ok(parcel) => loop {
                match self.outlet.deliver(&parcel).await {
                    Ok(()) => return Ok(()),
                    Err(Undeliverable::Never(problem)) => break problem,
                    Err(Undeliverable::NotNow(problem)) => {
                        tracing::warn!(problem, "spool.deliver: trying again");
                        tokio::time::sleep(backoff.next_delay()).await;
                    }
                }
            },
        };
        let file = self.spool.set_aside(behind, bytes).await?;
        tracing::error!(
            problem,
            file,
            "spool.undeliverable: a record can never be delivered; it is kept beside the spool"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use outcry_kafka::Topic;
    use std::sync::Mutex;

    /// An outlet that a test opens and closes.
    #[derive(Clone)]
    struct Valve {
        delivered: Arc<Mutex<Vec<String>>>,
        /// First come, first served, as in a producer's queue.
        turn: Arc<tokio::sync::Mutex<()>>,
        open: tokio::sync::watch::Sender<bool>,
    }

    impl Valve {
        fn new(open: bool) -> Self {
            Self { delivered: Arc::default(), turn: Arc::default(), open: tokio::sync::watch::Sender::new(open) }
        }

        fn delivered(&self) -> Vec<String> {
            self.delivered.lock().unwrap().clone()
        }
    }

    impl Outlet for Valve {
        async fn deliver(&self, parcel: &Parcel) -> Result<(), Undeliverable> {
            let Parcel::Record { key, .. } = parcel else { return Ok(()) };
            if key == "poison" {
                return Err(Undeliverable::Never("too large".into()));
            }
            let _turn = self.turn.lock().await;
            let _ = self.open.subscribe().wait_for(|open| *open).await;
            self.delivered.lock().unwrap().push(key.clone());
            Ok(())
        }
    }

    fn parcel(key: &str) -> Parcel {
        Parcel::Record { topic: Topic::ItemsRaw, key: key.into(), payload: Bytes::from_static(b"x") }
    }

    fn start(valve: &Valve, folder: &std::path::Path, max_bytes: u64) -> (Durable<Valve>, Context) {
        let context = Context::for_tests();
        let settings = DurableSettings { slow_after: Duration::from_millis(50) };
        (Durable::start(valve.clone(), Spool::open(folder, max_bytes).unwrap(), settings, &context), context)
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never happened: {what}");
    }

    #[tokio::test]
    async fn kafka_down_then_up_loses_nothing_and_keeps_order() {
        let (folder, valve) = (tempfile::tempdir().unwrap(), Valve::new(true));
        let (durable, context) = start(&valve, folder.path(), 1 << 20);
        until("ready", || context.health.problems().is_empty()).await;
        durable.store(parcel("direct")).await.unwrap();
        assert_eq!(valve.delivered(), ["direct"]);
        valve.open.send_replace(false);
        for number in 0..20 {
            durable.store(parcel(&number.to_string())).await.unwrap();
        }
        assert!(context.health.problems().contains_key("spool"), "not healthy while records wait");
        assert_eq!(valve.delivered(), ["direct"]);
        valve.open.send_replace(true);
        until("drained", || context.health.problems().is_empty()).await;
        let expected: Vec<String> = std::iter::once("direct".into()).chain((0..20).map(|n| n.to_string())).collect();
        assert_eq!(valve.delivered(), expected);
        durable.store(parcel("after")).await.unwrap();
        assert_eq!(valve.delivered().last().unwrap(), "after");
    }

    #[tokio::test]
    async fn what_a_killed_process_had_accepted_is_delivered_by_the_next_one_first() {
        let (folder, closed) = (tempfile::tempdir().unwrap(), Valve::new(false));
        let (durable, context) = start(&closed, folder.path(), 1 << 20);
        // Drained from the start: the spool was empty, so this waits for Kafka first and then goes to the spool.
        durable.store(parcel("a")).await.unwrap();
        durable.store(parcel("b")).await.unwrap();
        context.shutdown.cancel();
        drop(durable);
        let open = Valve::new(true);
        // The old thread lets go of the directory when its last handle is dropped.
        let spool = loop {
            match Spool::open(folder.path(), 1 << 20) {
                Ok(spool) => break spool,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let context = Context::for_tests();
        let durable = Durable::start(open.clone(), spool, DurableSettings::default(), &context);
        durable.store(parcel("c")).await.unwrap();
        until("drained", || context.health.problems().is_empty() && open.delivered().len() == 3).await;
        assert_eq!(open.delivered(), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_full_spool_refuses_and_recovers() {
        let (folder, valve) = (tempfile::tempdir().unwrap(), Valve::new(false));
        let (durable, context) = start(&valve, folder.path(), 400);
        let mut accepted = 0;
        let refused = loop {
            match durable.store(parcel(&accepted.to_string())).await {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, NotDurable::Full(AppendError::Full));
        assert!(accepted > 5, "{accepted}");
        valve.open.send_replace(true);
        until("drained", || context.health.problems().is_empty() && valve.delivered().len() == accepted).await;
        durable.store(parcel("again")).await.unwrap();
    }

    #[tokio::test]
    async fn a_sender_that_hangs_up_leaves_nothing_behind_in_the_spool() {
        let (folder, valve) = (tempfile::tempdir().unwrap(), Valve::new(true));
        let (durable, context) = start(&valve, folder.path(), 1 << 20);
        until("ready", || context.health.problems().is_empty()).await;
        valve.open.send_replace(false);
        let mut storing = Box::pin(durable.store(parcel("abandoned")));
        assert!(futures::poll!(&mut storing).is_pending(), "it waits for Kafka");
        tokio::time::sleep(Duration::from_millis(60)).await;
        // Kafka is too late: this hands the record to the spool's thread and waits for the disk.
        let _ = futures::poll!(&mut storing);
        drop(storing);
        valve.open.send_replace(true);
        until("drained", || context.health.problems().is_empty() && valve.delivered() == ["abandoned"]).await;
    }

    #[tokio::test]
    async fn what_can_never_be_delivered_is_kept_and_does_not_block() {
        let (folder, valve) = (tempfile::tempdir().unwrap(), Valve::new(true));
        let spool = Spool::open(folder.path(), 1 << 20).unwrap();
        for key in ["first", "poison", "last"] {
            spool.append(parcel(key).encode()).await.unwrap();
        }
        spool.append(b"rubbish".to_vec()).await.unwrap();
        let context = Context::for_tests();
        let _durable = Durable::start(valve.clone(), spool, DurableSettings::default(), &context);
        until("drained", || context.health.problems().is_empty()).await;
        assert_eq!(valve.delivered(), ["first", "last"]);
        let kept = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        assert_eq!(kept.filter(|file| file.file_name().to_string_lossy().starts_with("undeliverable-")).count(), 2);
    }
}

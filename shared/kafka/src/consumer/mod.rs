//! The consumer loop: a dedicated poll thread, one worker task per assigned partition.
//!
//! The poll thread alone speaks to the consumer. It hands records to workers, takes in no more of a partition whose worker
//! falls behind, and commits synchronously at each partition's contiguous frontier. When a partition is taken away the worker
//! has [`REVOKE_BUDGET`] to finish what it holds, and what it finished is committed, unless the assignment was lost already.

mod intake;
mod partition;
mod poll;
mod rebalance;

pub use partition::{Completion, Partition};

use crate::{KafkaConfig, Topic};
use anyhow::Context as _;
use outcry_runtime::{Backoff, Context};
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a worker may take to let go of a partition.
pub const REVOKE_BUDGET: Duration = Duration::from_secs(10);

/// After this long without a poll the broker gives our partitions to others.
pub(crate) const MAX_POLL_INTERVAL: Duration = Duration::from_secs(120);

/// What is read, as whom, and how much may be held in memory.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Consumer group, without the prefix.
    pub group: String,
    /// Topics.
    pub topics: Vec<Topic>,
    /// Bytes handed to all workers and held by them, beyond which no more is taken in.
    pub max_outstanding_bytes: usize,
    /// How often progress is committed.
    pub commit_interval: Duration,
}

impl ConsumerOptions {
    /// The usual: 8 MB held, a commit a second.
    pub fn new(group: &str, topics: &[Topic]) -> Self {
        Self {
            group: group.to_owned(),
            topics: topics.to_vec(),
            max_outstanding_bytes: 8 * 1024 * 1024,
            commit_interval: Duration::from_secs(1),
        }
    }
}

/// Why a worker stopped before its partition was taken away.
#[derive(Debug)]
pub enum WorkerStop {
    /// Start again from the frontier, after a delay: something failed that may pass.
    Restart(String),
    /// This partition stays where it is until a person acts; the others go on.
    Hold(String),
    /// The service must stop.
    Fatal(anyhow::Error),
}

/// Does the work of one partition.
pub trait PartitionWorker: Send + Sync + 'static {
    /// Works until [`Partition::next`] gives `None`, then finishes what is in flight and returns.
    fn work(&self, partition: Partition) -> impl Future<Output = Result<(), WorkerStop>> + Send;
}

/// librdkafka's consumer is unusable: another takes its place. It happens to a static member whose broker was killed, which
/// is then "fenced by other consumer with same group.instance.id".
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ConsumerFailed(String);

/// Consumes until shutdown. Returns an error when a worker stops fatally or the poll thread hangs; the caller then ends
/// the process, and what was not committed is read again by the next one. A consumer that failed for good is replaced.
pub async fn run_partitions<W: PartitionWorker>(
    config: &KafkaConfig,
    options: ConsumerOptions,
    context: &Context,
    worker: W,
) -> anyhow::Result<()> {
    let worker = Arc::new(worker);
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        let begun = Instant::now();
        let outcome = run_consumer(config, options.clone(), context, Arc::clone(&worker)).await;
        let failed = match outcome {
            Err(error) if error.is::<ConsumerFailed>() => error,
            other => return other,
        };
        if begun.elapsed() > MAX_POLL_INTERVAL {
            backoff.reset();
        }
        let delay = backoff.next_delay();
        tracing::error!(group = options.group, error = %failed, ?delay, "another consumer takes its place");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = context.shutdown.cancelled() => return Ok(()),
        }
    }
}

/// One consumer, to its end.
async fn run_consumer<W: PartitionWorker>(
    config: &KafkaConfig,
    options: ConsumerOptions,
    context: &Context,
    worker: Arc<W>,
) -> anyhow::Result<()> {
    let group = options.group.clone();
    let poller = poll::Poller::new(config, options, context, worker)
        .with_context(|| format!("starting the consumer group {group}"))?;
    let heartbeat = poller.heartbeat();
    let (sender, mut ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(format!("{group}-poll"))
        // The receiver is gone only when the service is gone.
        .spawn(move || drop(sender.send(poller.run())))
        .context("starting the poll thread")?;
    loop {
        tokio::select! {
            outcome = &mut ended => return outcome.context("the poll thread panicked")?,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let age = heartbeat.age();
                ::metrics::gauge!(crate::metrics::LAST_POLL_AGE, "group" => group.clone()).set(age.as_secs_f64());
                if age > MAX_POLL_INTERVAL {
                    anyhow::bail!(
                        "the consumer {group} has not polled for {} s and has lost its partitions; ending, so that a new \
                         process takes over from the last commit",
                        age.as_secs()
                    );
                }
            }
        }
    }
}

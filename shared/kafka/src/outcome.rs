//! One outcome per record.

use crate::{
    ConsumerOptions, KafkaConfig, Partition, PartitionWorker, Publisher, Record, RejectLimit, Topic, WorkerStop,
    letter_from_record, metrics, run_partitions,
};
use outcry_runtime::{Backoff, Context};
use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Handled.
    Done,
    /// Not for us.
    Skip,
    /// It can never be used: into dead letters with it, then on.
    Reject {
        /// Short and countable.
        reason: &'static str,
        /// What exactly was wrong, without the payload.
        detail: String,
    },
    /// Not now: again after a delay, in order.
    Retry(String),
    /// The partition stays where it is until a person acts.
    Fatal(String),
}

/// Consumes one record at a time per partition, partitions in parallel, until shutdown.
pub async fn for_each_record<H, F>(
    config: &KafkaConfig,
    group: &str,
    topics: &[Topic],
    publisher: &Publisher,
    context: &Context,
    handler: H,
) -> anyhow::Result<()>
where
    H: Fn(Record) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send,
{
    let worker = OneByOne {
        group: group.to_owned(),
        publisher: publisher.clone(),
        context: context.clone(),
        limit: Mutex::default(),
        handler,
    };
    run_partitions(config, ConsumerOptions::new(group, topics), context, worker).await
}

struct OneByOne<H> {
    group: String,
    publisher: Publisher,
    context: Context,
    limit: Mutex<RejectLimit>,
    handler: H,
}

impl<H, F> PartitionWorker for OneByOne<H>
where
    H: Fn(Record) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send,
{
    async fn work(&self, mut partition: Partition) -> Result<(), WorkerStop> {
        let revoked = partition.revoked();
        while let Some(records) = partition.next().await {
            for record in records {
                if revoked.is_cancelled() {
                    return Ok(());
                }
                self.handle(&partition, record).await?;
            }
        }
        Ok(())
    }
}

impl<H, F> OneByOne<H>
where
    H: Fn(Record) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send,
{
    async fn handle(&self, partition: &Partition, record: Record) -> Result<(), WorkerStop> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let (offset, revoked) = (record.offset, partition.revoked());
        loop {
            let outcome = (self.handler)(record.clone()).await;
            let rejected = matches!(outcome, Outcome::Reject { .. });
            match outcome {
                Outcome::Done | Outcome::Skip => {}
                Outcome::Reject { reason, detail } => self.reject(&record, reason, &detail).await?,
                Outcome::Retry(why) => {
                    tracing::warn!(group = self.group, record = ?record, why, "not now; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next_delay()) => continue,
                        () = revoked.cancelled() => return Ok(()),
                    }
                }
                Outcome::Fatal(why) => return Err(WorkerStop::Hold(why)),
            }
            partition.complete(offset);
            if self.limit.lock().unwrap_or_else(PoisonError::into_inner).record(rejected) {
                return Err(WorkerStop::Hold(
                    "more than a quarter of the last 1,000 records were refused: something other than single bad records \
                     is wrong. Look at `outcry dead-letters list`, then restart the service"
                        .into(),
                ));
            }
            return Ok(());
        }
    }

    async fn reject(&self, record: &Record, reason: &'static str, detail: &str) -> Result<(), WorkerStop> {
        ::metrics::counter!(metrics::REJECTED, "group" => self.group.clone(), "reason" => reason).increment(1);
        tracing::warn!(group = self.group, record = ?record, reason, detail, "into dead letters");
        let letter = letter_from_record(record, &self.group, reason, detail, self.context.clock.now());
        self.publisher
            .dead_letter_with_headers(&letter, record.key.as_deref(), &record.payload, &record.headers)
            .await
            .map(drop)
            .map_err(|error| WorkerStop::Hold(format!("a refused record does not fit into dead letters: {error}")))
    }
}

//! One partition: classify, send, and let the delivery report complete the offset.

use crate::{
    metrics,
    record::{self, Labeller, Refusal, classify_record},
};
use outcry_domain::classification::Kind;
use outcry_kafka::{
    KafkaConfig, Outgoing, Partition, PartitionWorker, PublishError, Publisher, Record, RejectLimit, Topic, WorkerStop,
    letter_from_record, read_record,
};
use outcry_runtime::{Clock, Context};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Records between two looks at whether others want the core.
const RECORDS_A_TURN: usize = 256;
/// How long the last deliveries may take when the partition goes; what is not acknowledged is read again.
const DRAIN: Duration = Duration::from_secs(8);

pub(crate) struct Worker {
    labeller: Labeller,
    languages: HashMap<String, Vec<String>>,
    publisher: Publisher,
    output: String,
    clock: Arc<dyn Clock>,
    limit: Mutex<RejectLimit>,
}

/// What is used again from record to record.
struct Room {
    labels: record::Room,
    outgoing: Outgoing,
    kinds: [u64; Kind::ALL.len()],
    for_review: u64,
}

impl Worker {
    pub(crate) fn new(
        labeller: Labeller,
        languages: HashMap<String, Vec<String>>,
        publisher: Publisher,
        kafka: &KafkaConfig,
        context: &Context,
    ) -> Self {
        let output = kafka.topic_name(Topic::ItemsClassified);
        Self { labeller, languages, publisher, output, clock: Arc::clone(&context.clock), limit: Mutex::default() }
    }

    async fn handle(&self, partition: &Partition, mut record: Record, room: &mut Room) -> Result<(), WorkerStop> {
        room.outgoing.payload.clear();
        let languages = |brand: &str| self.languages.get(brand).map_or(&[][..], Vec::as_slice);
        let classified =
            classify_record(&self.labeller, &mut room.labels, languages, &record.payload, &mut room.outgoing.payload);
        let rejected = match classified {
            Ok(classification) => {
                room.kinds[classification.kind.label as usize] += 1;
                room.for_review += u64::from(classification.needs_review);
                room.outgoing.key = record.key.take().unwrap_or_default();
                match self.publisher.send_for(partition.completion(record.offset), &room.outgoing).await {
                    Ok(()) => false,
                    Err(error @ PublishError::TooLarge { .. }) => {
                        record.key = Some(std::mem::take(&mut room.outgoing.key));
                        self.reject(partition, &record, "too_large", &error.to_string()).await?;
                        true
                    }
                    Err(error) => return Err(self.start_again(&error)),
                }
            }
            Err(Refusal::UnknownVersion(version)) => {
                return Err(WorkerStop::Hold(format!(
                    "{record:?} has schema version {version}, which this release does not know: upgrade the classifier"
                )));
            }
            Err(Refusal::Undecodable(detail)) => {
                self.reject(partition, &record, "undecodable", &detail).await?;
                true
            }
        };
        if self.limit.lock().unwrap_or_else(PoisonError::into_inner).record(rejected) {
            return Err(WorkerStop::Hold(
                "more than a quarter of the last 1,000 records were refused: something other than single bad records is \
                 wrong. Look at `outcry dead-letters list`, then restart the classifier"
                    .into(),
            ));
        }
        Ok(())
    }

    async fn reject(
        &self,
        partition: &Partition,
        record: &Record,
        reason: &'static str,
        detail: &str,
    ) -> Result<(), WorkerStop> {
        ::metrics::counter!(metrics::REJECTED, "reason" => reason).increment(1);
        tracing::warn!(record = ?record, reason, detail, "into dead letters");
        let letter = letter_from_record(record, "classifier", reason, detail, self.clock.now());
        self.publisher
            .dead_letter_with_headers(&letter, record.key.as_deref(), &record.payload, &record.headers)
            .await
            .map_err(|error| WorkerStop::Hold(format!("a refused record does not fit into dead letters: {error}")))?;
        partition.complete(record.offset);
        Ok(())
    }

    /// What the brokers will never take goes to dead letters, read again by its offset; anything else is a new start.
    async fn settle_failures(&self, partition: &Partition) -> Result<(), WorkerStop> {
        for (offset, error) in partition.take_failures() {
            if error.is_transient() {
                return Err(self.start_again(&error));
            }
            let found = read_record(self.publisher.config(), &partition.topic, partition.partition, offset).await;
            match found {
                Ok(Some(record)) => self.reject(partition, &record, "too_large", &error.to_string()).await?,
                Ok(None) => partition.complete(offset),
                Err(problem) => return Err(WorkerStop::Restart(problem.to_string())),
            }
        }
        Ok(())
    }

    /// A delivery failed: in order again from the last complete offset, with a producer that works.
    fn start_again(&self, error: &PublishError) -> WorkerStop {
        self.publisher.renew_if_failed();
        WorkerStop::Restart(error.to_string())
    }
}

impl PartitionWorker for Worker {
    async fn work(&self, mut partition: Partition) -> Result<(), WorkerStop> {
        let mut room = Room {
            labels: record::Room::default(),
            outgoing: Outgoing { topic: self.output.clone(), ..Outgoing::default() },
            kinds: [0; Kind::ALL.len()],
            for_review: 0,
        };
        let revoked = partition.revoked();
        while let Some(records) = partition.next().await {
            for (index, record) in records.into_iter().enumerate() {
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1 {
                    tokio::task::yield_now().await;
                    if revoked.is_cancelled() {
                        break;
                    }
                }
                self.handle(&partition, record, &mut room).await?;
            }
            self.settle_failures(&partition).await?;
            for (kind, count) in Kind::ALL.iter().zip(&mut room.kinds) {
                if *count > 0 {
                    ::metrics::counter!(metrics::CLASSIFIED, "kind" => kind.as_str()).increment(std::mem::take(count));
                }
            }
            ::metrics::counter!(metrics::NEEDS_REVIEW).increment(std::mem::take(&mut room.for_review));
        }
        // Everything sent is in the producer's queue; what is not acknowledged in time is classified again.
        let _ = tokio::time::timeout(DRAIN, sent(&partition)).await;
        Ok(())
    }
}

/// Until what was sent is acknowledged. Records handed out but not sent stay open, so progress is what is watched.
async fn sent(partition: &Partition) {
    let mut open = partition.outstanding();
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = partition.outstanding();
        if now == 0 || now == open {
            return;
        }
        open = now;
    }
}

//! The publisher: idempotent, acks=all, a future that resolves on the delivery report.
//!
//! Idempotence covers retries inside one producer only. After a fatal error librdkafka's producer is unusable: it is
//! replaced, and what was in flight is sent again by its own future. Ids make such repeats harmless.

use crate::{
    KafkaConfig, KafkaError, PublishError, Topic, config::MAX_RECORD_BYTES, consumer::Completion,
    dead_letter::letter_headers, metrics,
};
use outcry_domain::DeadLetter;
use outcry_runtime::Backoff;
use rdkafka::{
    ClientContext, Message,
    error::{KafkaError as RdKafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use serde::Serialize;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::oneshot;

/// What may wait for delivery. A record beyond it would be refused as "queue full" for ever, so the largest must fit, with
/// its key and headers.
const QUEUE_KBYTES: u32 = 13 * 1024;
const _: () = assert!(QUEUE_KBYTES * 1024 >= MAX_RECORD_BYTES + 1024 * 1024);

/// Where a record landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// A record to publish.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Full name of the topic.
    pub topic: String,
    /// Key; records of one key stay in order.
    pub key: Vec<u8>,
    /// Value.
    pub payload: Vec<u8>,
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Sends records. Cheap to clone; all clones share one producer.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    config: KafkaConfig,
    client: String,
    current: RwLock<Generation>,
}

#[derive(Clone)]
struct Generation {
    number: u64,
    producer: Arc<ThreadedProducer<Reports>>,
}

/// Who waits for a delivery report.
enum Waiting {
    Future(oneshot::Sender<Result<Delivered, PublishError>>),
    Completion(Completion),
}

/// Receives the delivery reports, on the producer's own thread.
struct Reports;

impl ClientContext for Reports {
    fn error(&self, error: RdKafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Box<Waiting>) {
        let outcome = match result {
            Ok(message) => Ok(Delivered { partition: message.partition(), offset: message.offset() }),
            Err((error, message)) => Err(undelivered(message.topic(), message.payload_len(), error)),
        };
        match *waiting {
            // The receiver may have given up; the record is delivered all the same.
            Waiting::Future(sender) => drop(sender.send(outcome)),
            Waiting::Completion(completion) => completion.report(outcome),
        }
    }
}

fn undelivered(topic: &str, bytes: usize, error: &RdKafkaError) -> PublishError {
    let topic = topic.to_owned();
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => PublishError::TooLarge { topic, bytes },
        code => PublishError::Undelivered {
            topic,
            problem: error.to_string(),
            fatal: matches!(
                code,
                Some(
                    RDKafkaErrorCode::Fatal
                        | RDKafkaErrorCode::PurgeQueue
                        | RDKafkaErrorCode::PurgeInflight
                        | RDKafkaErrorCode::OutOfOrderSequenceNumber
                        | RDKafkaErrorCode::UnknownProducerId
                        | RDKafkaErrorCode::InvalidProducerEpoch
                )
            ),
        },
    }
}

impl Publisher {
    /// A publisher; it connects in the background, so a broker that is down is no error here.
    pub fn new(config: &KafkaConfig, client: &str) -> Result<Self, KafkaError> {
        let producer = Arc::new(producer(config, client)?);
        let current = RwLock::new(Generation { number: 0, producer });
        Ok(Self { inner: Arc::new(Inner { config: config.clone(), client: client.to_owned(), current }) })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &KafkaConfig {
        &self.inner.config
    }

    /// Publishes and waits for the delivery report. Transient failures are tried again for as long as the caller waits;
    /// only what can never be delivered is an error.
    pub async fn publish(&self, topic: Topic, key: &str, payload: Vec<u8>) -> Result<Delivered, PublishError> {
        let topic = self.inner.config.topic_name(topic);
        self.publish_record(Outgoing { topic, key: key.as_bytes().to_vec(), payload, headers: Vec::new() }).await
    }

    /// [`Publisher::publish`] of a value as JSON.
    pub async fn publish_json<T: Serialize>(
        &self,
        topic: Topic,
        key: &str,
        value: &T,
    ) -> Result<Delivered, PublishError> {
        let payload = serde_json::to_vec(value).map_err(|error| PublishError::Unserialisable {
            topic: self.inner.config.topic_name(topic),
            problem: error.to_string(),
        })?;
        self.publish(topic, key, payload).await
    }

    /// Puts what was refused into dead letters: the bytes as they came, the reason in headers. Bytes beyond the largest
    /// record are cut, and the detail says so.
    pub async fn dead_letter(
        &self,
        letter: &DeadLetter,
        key: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<Delivered, PublishError> {
        self.dead_letter_with_headers(letter, key, payload, &[]).await
    }

    /// [`Publisher::dead_letter`], keeping the original headers too.
    pub async fn dead_letter_with_headers(
        &self,
        letter: &DeadLetter,
        key: Option<&[u8]>,
        payload: &[u8],
        original: &[(String, Vec<u8>)],
    ) -> Result<Delivered, PublishError> {
        let room = MAX_RECORD_BYTES as usize - 64 * 1024;
        let mut letter = letter.clone();
        if payload.len() > room {
            letter.detail = format!("{} (kept: the first {room} of {} bytes)", letter.detail, payload.len());
        }
        let described = letter_headers(&letter).into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let kept = original.iter().take(32).map(|(name, value)| {
            (format!("{}{name}", crate::dead_letter::ORIGINAL_HEADER), value[..value.len().min(1024)].to_vec())
        });
        let record = Outgoing {
            topic: self.inner.config.topic_name(Topic::DeadLetters),
            key: key.unwrap_or_default().to_vec(),
            payload: payload[..payload.len().min(room)].to_vec(),
            headers: described.chain(kept).collect(),
        };
        self.publish_record(record).await
    }

    /// [`Publisher::publish`] of a whole record, to a topic of any name.
    pub async fn publish_record(&self, record: Outgoing) -> Result<Delivered, PublishError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let (sender, receiver) = oneshot::channel();
            let generation = self.enqueue(&record, Waiting::Future(sender)).await?;
            let report = receiver.await.unwrap_or_else(|_| {
                Err(PublishError::Undelivered { topic: record.topic.clone(), problem: "no report".into(), fatal: true })
            });
            match report {
                Ok(delivered) => {
                    ::metrics::counter!(metrics::PUBLISHED, "topic" => record.topic.clone()).increment(1);
                    return Ok(delivered);
                }
                Err(error) if error.is_transient() => {
                    ::metrics::counter!(metrics::PUBLISH_FAILURES, "error" => error.metric_label()).increment(1);
                    tracing::warn!(%error, "not delivered; trying again");
                    if matches!(error, PublishError::Undelivered { fatal: true, .. }) {
                        self.renew(generation);
                    }
                    tokio::time::sleep(backoff.next_delay()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends on behalf of a record that was read: its offset is complete once this one is delivered. Waits only for room
    /// in the queue. A failed delivery stops the partition's worker, which starts again from the frontier, in order.
    pub async fn send_for(&self, completion: Completion, record: &Outgoing) -> Result<(), PublishError> {
        self.enqueue(record, Waiting::Completion(completion)).await.map(drop)
    }

    async fn enqueue(&self, record: &Outgoing, waiting: Waiting) -> Result<u64, PublishError> {
        let mut waiting = Box::new(waiting);
        loop {
            let generation = self.generation();
            let mut base: BaseRecord<'_, [u8], [u8], Box<Waiting>> = BaseRecord::with_opaque_to(&record.topic, waiting)
                .key(record.key.as_slice())
                .payload(record.payload.as_slice());
            if !record.headers.is_empty() {
                let headers = OwnedHeaders::new_with_capacity(record.headers.len());
                base = base.headers(
                    record
                        .headers
                        .iter()
                        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) })),
                );
            }
            match generation.producer.send(base) {
                Ok(()) => return Ok(generation.number),
                Err((error, refused)) => {
                    waiting = refused.delivery_opaque;
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                        let error = undelivered(&record.topic, record.payload.len(), &error);
                        if !error.is_transient() {
                            return Err(error);
                        }
                        tracing::warn!(%error, "not queued; trying again");
                        if generation.producer.client().fatal_error().is_some() {
                            self.renew(generation.number);
                        }
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    fn generation(&self) -> Generation {
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the producer if it failed for good: what a worker does before it starts again from the frontier.
    pub fn renew_if_failed(&self) {
        let current = self.generation();
        if current.producer.client().fatal_error().is_some() {
            self.renew(current.number);
        }
    }

    fn renew(&self, failed: u64) {
        let mut current = self.inner.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != failed || current.producer.client().fatal_error().is_none() {
            return;
        }
        match producer(&self.inner.config, &self.inner.client) {
            Ok(fresh) => {
                tracing::error!(generation = failed, "the kafka producer failed for good and was replaced");
                ::metrics::counter!(metrics::PRODUCERS_RENEWED).increment(1);
                let next = Generation { number: failed + 1, producer: Arc::new(fresh) };
                let old = std::mem::replace(&mut *current, next);
                // Dropping joins the producer's thread and reports what was in flight as purged: not on this thread.
                std::thread::spawn(move || drop(old));
            }
            Err(error) => tracing::error!(%error, "replacing the failed kafka producer"),
        }
    }

    /// Waits until everything queued is delivered, at most for `timeout`. `true` if it is.
    pub async fn flush(&self, timeout: Duration) -> bool {
        let producer = self.generation().producer;
        tokio::task::spawn_blocking(move || producer.flush(timeout).is_ok()).await.unwrap_or(false)
    }
}

fn producer(config: &KafkaConfig, client: &str) -> Result<ThreadedProducer<Reports>, KafkaError> {
    let mut settings = config.client(client);
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        // As the Java client does it, so that other producers put a case where we do.
        .set("partitioner", "murmur2_random")
        .set("batch.size", "524288")
        // No message is ever given up by the client: who waits decides how long.
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", "20000")
        .set("queue.buffering.max.kbytes", QUEUE_KBYTES.to_string())
        .set("message.max.bytes", MAX_RECORD_BYTES.to_string());
    settings.create_with_context(Reports).map_err(|source| config.error("making a producer", source))
}

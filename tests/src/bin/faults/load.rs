//! Items that keep coming while things break, and the ledger of those that were acknowledged.

use crate::random::Random;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use outcry_kafka::{KafkaConfig, Publisher, Topic};
use outcry_runtime::CancellationToken;
use outcry_tests::{
    Generator,
    generate::{category_of, classified},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

const BREATH: Duration = Duration::from_millis(100);

/// What is known of an item that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of its text, upper-case hexadecimal.
    pub text_sha256: String,
    /// Hour of its effective time, as seconds since 1970.
    pub hour: i64,
    /// Its category, where the load gave it one.
    pub category: Option<&'static str>,
    /// Partition and offset, of its last sending.
    pub position: (i32, i64),
}

/// Acknowledged items by id.
pub type Ledger = BTreeMap<String, Entry>;

/// What is sent, and where to.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// `ItemsRaw`, or `ItemsClassified` with classifications of our own.
    pub topic: Topic,
    /// Items a second.
    pub per_second: u64,
    /// Of a hundred items, so many are sent twice, as a connector does after a crash.
    pub repeated_percent: u64,
    /// Fields that no release knows are added to every other item.
    pub unknown_fields: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { topic: Topic::ItemsClassified, per_second: 400, repeated_percent: 0, unknown_fields: false }
    }
}

/// Where each partition ended when the last acknowledgement came.
type Ends = Arc<Mutex<BTreeMap<i32, i64>>>;

/// A load that runs.
pub struct Load {
    /// The topic it goes to.
    pub topic: Topic,
    stop: CancellationToken,
    ends: Ends,
    acknowledged: Arc<AtomicU64>,
    task: JoinHandle<Result<Ledger>>,
}

struct Sender {
    options: LoadOptions,
    generator: Generator,
    publisher: Publisher,
    ends: Ends,
    acknowledged: Arc<AtomicU64>,
}

impl Load {
    /// Starts it.
    pub fn start(kafka: &KafkaConfig, options: LoadOptions, seed: u64) -> Result<Self> {
        let publisher = Publisher::new(kafka, "faults")?;
        let (stop, ends, acknowledged) = (CancellationToken::new(), Ends::default(), Arc::<AtomicU64>::default());
        let topic = options.topic;
        let sender = Sender {
            generator: Generator::new("acme", seed),
            publisher,
            ends: Arc::clone(&ends),
            acknowledged: Arc::clone(&acknowledged),
            options,
        };
        let task = tokio::spawn(sender.run(stop.clone(), Random::new(seed, "load")));
        Ok(Self { topic, stop, ends, acknowledged, task })
    }

    /// So many were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The offset after the last acknowledged one, by partition.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it; what was sent and is not acknowledged is waited for. The ledger, and where it ends in each partition.
    pub async fn stop(self) -> Result<(Ledger, BTreeMap<i32, i64>)> {
        self.stop.cancel();
        let ledger = self.task.await.context("the load panicked")??;
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((ledger, ends))
    }
}

impl Sender {
    async fn run(self, stop: CancellationToken, mut random: Random) -> Result<Ledger> {
        let (mut ledger, mut next) = (Ledger::new(), 0);
        let size = self.options.per_second.div_ceil(10);
        while !stop.is_cancelled() {
            let mut numbers: Vec<u64> = (next..next + size).collect();
            next += size;
            let repeated: Vec<u64> =
                numbers.iter().copied().filter(|_| random.below(100) < self.options.repeated_percent).collect();
            numbers.extend(repeated);
            let sent: Vec<(String, Entry)> =
                stream::iter(numbers).map(|number| self.send(number)).buffer_unordered(1000).try_collect().await?;
            ledger.extend(sent);
            tokio::time::sleep(BREATH).await;
        }
        Ok(ledger)
    }

    async fn send(&self, number: u64) -> Result<(String, Entry)> {
        let mut item = self.generator.item(number);
        if self.options.unknown_fields && number.is_multiple_of(2) {
            item.unknown_fields.insert("from_a_later_release".into(), number.into());
        }
        let (id, key) = (item.item_id.to_string(), item.case_id.to_string());
        let hour = item.effective_at.as_millis().div_euclid(3_600_000) * 3600;
        let text_sha256 = upper_hex(&Sha256::digest(item.text.as_bytes()));
        let (payload, category) = match self.options.topic {
            Topic::ItemsClassified => {
                let category = category_of(number);
                (serde_json::to_vec(&classified(item, category))?, Some(category.as_str()))
            }
            _ => (serde_json::to_vec(&item)?, None),
        };
        let delivered = self.publisher.publish(self.options.topic, &key, payload).await?;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.entry(delivered.partition).or_default();
        *end = (*end).max(delivered.offset + 1);
        Ok((id, Entry { text_sha256, hour, category, position: (delivered.partition, delivered.offset) }))
    }
}

/// As ClickHouse's `hex` writes it.
pub fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

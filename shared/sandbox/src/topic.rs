//! What a topic holds, for tests that wait for it: read from its beginning, apart from every consumer group.

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What is one too many arrives within this, mostly.
const LITTLE_LONGER: Duration = Duration::from_millis(300);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A record as a test looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRecord {
    /// Key; empty if there is none.
    pub key: Vec<u8>,
    /// Value.
    pub payload: Vec<u8>,
    /// Headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl TopicRecord {
    /// The first header of that name, as text; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// Looks every 10 ms until `condition`, or for [`PATIENCE`]; gives what it saw last.
pub async fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// Reads the topic of that full name until `enough`, or for [`PATIENCE`], and a little longer: more would show.
///
/// # Panics
/// When the brokers do not answer, or `read` does.
pub async fn read_topic_until<T: Send + 'static>(
    bootstrap: &str,
    topic: &str,
    mut read: impl FnMut(&TopicRecord) -> T + Send + 'static,
    enough: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let found: Arc<Mutex<Vec<T>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let (keep, stopped) = (found.clone(), stop.clone());
    let (brokers, name) = (bootstrap.to_owned(), topic.to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let consumer = open(&brokers, &name)?;
        while !stopped.load(Ordering::Relaxed) {
            if let Some(message) = consumer.poll(Duration::from_millis(20)) {
                let record = read(&copy(&message?));
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            }
        }
        Ok::<(), rdkafka::error::KafkaError>(())
    });
    wait_until(|| reading.is_finished() || enough(&found.lock().unwrap_or_else(PoisonError::into_inner))).await;
    tokio::time::sleep(LITTLE_LONGER).await;
    stop.store(true, Ordering::Relaxed);
    match reading.await {
        Ok(Ok(())) => std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner)),
        Ok(Err(error)) => panic!("reading {topic}: {error}"),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn open(bootstrap: &str, topic: &str) -> rdkafka::error::KafkaResult<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "not-joined")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let mut everything = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        everything.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&everything)?;
    Ok(consumer)
}

fn copy(message: &rdkafka::message::BorrowedMessage<'_>) -> TopicRecord {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    TopicRecord {
        key: message.key().unwrap_or_default().to_vec(),
        payload: message.payload().unwrap_or_default().to_vec(),
        headers: headers.unwrap_or_default(),
    }
}

//! What is taken in: one queue for each partition, polled only while there is room for more of it.
//!
//! What is not polled stays in librdkafka, which fetches no more of that partition once its queue is full. Pausing a
//! partition instead would throw away what was fetched, and fetch it again.

use super::rebalance::{Position, Rebalances};
use crate::Record;
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer, base_consumer::PartitionQueue},
    error::KafkaError as RdKafkaError,
    message::BorrowedMessage,
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// Taken in of one partition before the next has its turn.
const MOST_RECORDS_A_TURN: usize = 500;

/// What one round brought.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Records taken in.
    pub(super) records: usize,
    /// Some partition had no room, and is looked at again soon.
    pub(super) full: bool,
    /// What librdkafka complained of.
    pub(super) trouble: Option<RdKafkaError>,
}

/// Reads on behalf of the poll thread.
pub(super) struct Intake {
    pub(super) consumer: Arc<BaseConsumer<Rebalances>>,
    queues: HashMap<Position, PartitionQueue<Rebalances>>,
    topics: HashMap<String, Arc<str>>,
    /// Taken in and not handed over yet.
    pub(super) batches: HashMap<Position, Vec<Record>>,
}

impl Intake {
    pub(super) fn new(consumer: BaseConsumer<Rebalances>, topics: &[String]) -> Self {
        Self {
            consumer: Arc::new(consumer),
            queues: HashMap::new(),
            topics: topics.iter().map(|name| (name.clone(), Arc::from(name.as_str()))).collect(),
            batches: HashMap::new(),
        }
    }

    /// Gives the partition a queue of its own, which wakes the calling thread when something comes.
    pub(super) fn open(&mut self, position: &Position) {
        // The old one would switch the callback of the new one off when it is dropped later.
        self.queues.remove(position);
        let Some(mut queue) = self.consumer.split_partition_queue(&position.0, position.1) else {
            tracing::warn!(topic = %position.0, partition = position.1, "no queue of its own; it shares the consumer's");
            return;
        };
        let poll_thread = std::thread::current();
        queue.set_nonempty_callback(move || poll_thread.unpark());
        self.queues.insert(position.clone(), queue);
    }

    /// Takes in what is there, of each partition as much as `room` says in bytes, and waits for nothing.
    pub(super) fn take(&mut self, room: &HashMap<Position, usize>) -> Round {
        let mut round = Round::default();
        // Rebalances and errors; and what was fetched before its partition had a queue of its own, which is little.
        loop {
            let polled = self.consumer.poll(Duration::ZERO);
            // A partition may go and come back within one poll. Records of before would hide those that are read again.
            for gone in self.consumer.context().gone.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                self.batches.remove(&gone);
                self.queues.remove(&gone);
            }
            let Some(polled) = polled else { break };
            match polled {
                Ok(message) => {
                    let position = place(&message, &mut self.topics);
                    let record = Record::copy(&message, Arc::clone(&position.0));
                    self.batches.entry(position).or_default().push(record);
                    round.records += 1;
                }
                Err(error) => {
                    round.trouble = Some(error);
                    break;
                }
            }
        }
        for (position, queue) in &self.queues {
            let mut room = room.get(position).copied().unwrap_or_default();
            let mut batch = Vec::new();
            while room > 0 && batch.len() < MOST_RECORDS_A_TURN {
                match queue.poll(Duration::ZERO) {
                    None => break,
                    Some(Ok(message)) => {
                        let record = Record::copy(&message, Arc::clone(&position.0));
                        room = room.saturating_sub(record.size());
                        batch.push(record);
                    }
                    Some(Err(error)) => {
                        round.trouble = Some(error);
                        break;
                    }
                }
            }
            round.full |= room == 0;
            round.records += batch.len();
            if !batch.is_empty() {
                self.batches.entry(position.clone()).or_default().append(&mut batch);
            }
        }
        round
    }

    /// The consumer, and nothing that still refers to it.
    pub(super) fn close(self) -> Arc<BaseConsumer<Rebalances>> {
        let Self { consumer, queues, .. } = self;
        drop(queues);
        consumer
    }
}

fn place(message: &BorrowedMessage<'_>, topics: &mut HashMap<String, Arc<str>>) -> Position {
    let topic = match topics.get(message.topic()) {
        Some(topic) => Arc::clone(topic),
        None => {
            let topic: Arc<str> = message.topic().into();
            topics.insert(message.topic().to_owned(), Arc::clone(&topic));
            topic
        }
    };
    (topic, message.partition())
}

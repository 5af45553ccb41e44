//! Delivery over Kafka: nothing passed over, nothing acknowledged too early.
//!
//! - [`Publisher`]: idempotent, acks=all; its future resolves on the delivery report.
//! - [`run_partitions`] and [`for_each_record`]: a dedicated poll thread, one worker per assigned partition, offsets
//!   committed at the contiguous [`Frontier`] only, after the worker says that a record is done.
//! - [`Checkpoints`]: where a source was left off, in a compacted topic.
//! - Dead letters keep the original bytes, position and reason, and are durable before an offset passes.
//!
//! Generic over payload: nothing here knows what a complaint is. This is the only service-side crate that uses `rdkafka`.

mod admin;
mod checkpoints;
mod committed;
mod config;
mod consumer;
mod dead_letter;
mod error;
mod frontier;
pub mod metrics;
mod outcome;
mod publisher;
mod read_record;
mod record;
mod reject_limit;
mod scan;
mod topic_id;

pub use admin::{TopicSettings, check_brokers, ensure_topics};
pub use checkpoints::Checkpoints;
pub use committed::{GroupPosition, group_positions, rewind_group};
pub use config::{KafkaConfig, Security, Topic};
pub use consumer::{Completion, ConsumerOptions, Partition, PartitionWorker, WorkerStop, run_partitions};
pub use dead_letter::{letter_from_record, letter_headers};
pub use error::{KafkaError, PublishError};
pub use frontier::Frontier;
pub use outcome::{Outcome, for_each_record};
pub use publisher::{Delivered, Outgoing, Publisher};
pub use read_record::read_record;
pub use record::Record;
pub use reject_limit::RejectLimit;
pub use scan::{BatchLimits, Retained, retained, scan, scan_batches};
pub use topic_id::{TopicId, topic_ids};

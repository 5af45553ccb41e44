//! Writes what the topics hold to ClickHouse, so that an analyst sees every fact once.
//!
//! One batch comes from one Kafka partition and is one INSERT. An offset is committed only after its row is known to be
//! stored, or its record is durable in dead letters. Whatever is not known (a lost answer, a restart, a predecessor that
//! may still be writing) is settled by taking the fence, ending the predecessor's inserts and reading back what is there,
//! before only the missing rows are inserted. The decisions are made by [`core`], which does no I/O.
//!
//! It refuses to guess: a record of an unknown schema version holds its partition until a newer sink comes.

pub mod config;
#[cfg(feature = "controls")]
mod controls;
pub mod core;
mod decode;
mod failpoint;
pub mod metrics;
mod perform;
mod worker;

pub use config::Config;

use anyhow::Context as _;
use outcry_kafka::{ConsumerOptions, Publisher, Topic, run_partitions};
use outcry_runtime::Context;
use outcry_warehouse::Warehouse;

/// The topics it reads; each has a table of its own.
pub const TOPICS: [Topic; 4] = [Topic::ItemsClassified, Topic::CaseEvents, Topic::SourceCoverage, Topic::DeadLetters];

/// Bytes of records that are not committed. A record's bytes are freed once it is encoded.
const MAX_OUTSTANDING_BYTES: usize = 40 * 1024 * 1024;

/// Runs until shutdown.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let warehouse = Warehouse::connect(&config.clickhouse).context("preparing the connection to ClickHouse")?;
    let publisher = Publisher::new(&config.kafka, "sink").context("preparing the dead letters")?;
    let worker = worker::Worker::new(&config, warehouse, publisher, &context);
    let mut options = ConsumerOptions::new("sink", &TOPICS);
    options.max_outstanding_bytes = MAX_OUTSTANDING_BYTES;
    run_partitions(&config.kafka, options, &context, worker).await
}

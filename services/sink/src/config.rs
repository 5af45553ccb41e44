//! `[sink]`.

use outcry_kafka::KafkaConfig;
use outcry_runtime::{ServiceConfig, config::Http};
use outcry_warehouse::ClickHouseConfig;
use serde::Deserialize;
use std::time::Duration;

/// What the sink reads of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Health and metrics.
    #[serde(default)]
    pub http: Http,
    /// Brokers.
    pub kafka: KafkaConfig,
    /// Warehouse.
    pub clickhouse: ClickHouseConfig,
    /// Batches.
    #[serde(default)]
    pub sink: Sink,
}

/// When a batch is closed: whichever comes first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sink {
    /// Rows. More than 50,000 would make ClickHouse split an INSERT, which must stay one part.
    pub max_rows: usize,
    /// Encoded bytes.
    pub max_bytes: usize,
    /// Age of the first row.
    pub flush_interval_ms: u64,
}

impl Default for Sink {
    fn default() -> Self {
        Self { max_rows: 50_000, max_bytes: 8 * 1024 * 1024, flush_interval_ms: 1000 }
    }
}

impl Sink {
    /// Age at which a batch is closed.
    pub fn flush_interval(&self) -> Duration {
        Duration::from_millis(self.flush_interval_ms)
    }
}

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "clickhouse", "sink"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if self.sink.max_rows == 0 || self.sink.max_rows > 50_000 {
            problems.push(format!("sink.max_rows is {}; it must lie between 1 and 50,000", self.sink.max_rows));
        }
        if self.sink.max_bytes < 64 * 1024 || self.sink.max_bytes > 64 * 1024 * 1024 {
            problems.push(format!("sink.max_bytes is {}; it must lie between 64 kB and 64 MB", self.sink.max_bytes));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

//! `outcry migrate`: topics and schema.

use crate::{cli::ConfigFiles, configs};
use anyhow::Context as _;
use outcry_kafka::{KafkaConfig, ensure_topics};
use outcry_warehouse::{ClickHouseConfig, migrate};

/// Creates what is missing and says so.
pub async fn run(config: &ConfigFiles) -> anyhow::Result<()> {
    let basics = configs::basics(config)?;
    apply(&basics.kafka, &basics.clickhouse, true).await
}

/// Creates what is missing.
pub async fn apply(kafka: &KafkaConfig, clickhouse: &ClickHouseConfig, say: bool) -> anyhow::Result<()> {
    let created = ensure_topics(kafka).await.context("creating the topics")?;
    let migrated = migrate(clickhouse).await.context("creating the ClickHouse schema")?;
    if say {
        match created.as_slice() {
            [] => eprintln!("topics: all there"),
            names => eprintln!("topics created: {}", names.join(", ")),
        }
        match migrated.applied.as_slice() {
            [] => eprintln!("schema: all {} migrations were applied before", migrated.already),
            names => eprintln!("schema: applied {}", names.join(", ")),
        }
    }
    Ok(())
}

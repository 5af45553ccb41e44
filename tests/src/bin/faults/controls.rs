//! Wrong ways to write. Each must be seen to lose or double, or the harness proves nothing.

use crate::{
    clickhouse_faults::{has_strace, kill_at_rename},
    load::LoadOptions,
    report::Row,
    sink::SinkOptions,
    trial::Trial,
    world::World,
};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Offsets are committed when a batch was read; the sink is killed before it stores (F1).
pub async fn commit_first(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(2, 4, 20);
    let mut trial = Trial::prepare(world, "commit-first", "F1 on a sink that commits before it stores", "").await?;
    trial.begin_load(LoadOptions::default())?;
    let wrong = || SinkOptions::faulty("one").with("OUTCRY_SINK_CONTROL", "commit_first");
    for round in 1..=rounds {
        trial.progress(round, rounds, "killed before the INSERT");
        let spared = trial.random.below(3);
        let action = format!("sink::before_insert={spared}*off->return(0)");
        let sink = trial.sink(wrong().with("FAILPOINTS", action))?;
        sink.ended(Duration::from_secs(20)).await;
    }
    trial.row.rounds = rounds;
    let healed = Instant::now();
    let sink = trial.sink(wrong())?;
    trial.recovered_since(healed).await?;
    trial.finish(&[&sink]).await
}

/// `insert_deduplication_token` and nothing else; ClickHouse is killed at rename(2) (F2).
pub async fn token_only(world: &World) -> Result<Row> {
    ensure!(has_strace(), "the control token-only needs strace: install the package `strace`");
    let rounds = world.rounds.of(4, 8, 50);
    let mut trial = Trial::prepare(world, "token-only", "F2 on a sink that trusts deduplication by token", "").await?;
    let window = "ALTER TABLE {db}.stored_items MODIFY SETTING non_replicated_deduplication_window = 10000";
    trial.pipeline.ask_as("migrator", window).await?;
    let sink = trial.sink(SinkOptions::faulty("one").with("OUTCRY_SINK_CONTROL", "token"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions::default())?;
    for round in 1..=rounds {
        trial.progress(round, rounds, "ClickHouse killed at rename(2)");
        let nth = 1 + trial.random.below(6);
        kill_at_rename(world, nth).await?;
        world.clickhouse()?.restart().await?;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds;
    trial.finish(&[&sink]).await
}

/// A SummingMergeTree fed by a materialised view counts rows; a connector sends some items again after a crash, and the
/// counts are compared with the ledger's.
pub async fn rollup(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(2, 4, 20);
    let mut trial = Trial::prepare(world, "rollup", "reports from an incremental rollup, items resent", "").await?;
    for statement in [
        "CREATE TABLE {db}.rollup (hour DateTime('UTC'), category String, items UInt64) ENGINE = SummingMergeTree ORDER BY (hour, category)",
        "CREATE MATERIALIZED VIEW {db}.rollup_feed TO {db}.rollup AS SELECT toStartOfHour(effective_at) AS hour, \
         toString(category) AS category, count() AS items FROM {db}.stored_items GROUP BY hour, category",
    ] {
        trial.pipeline.ask_as("migrator", statement).await?;
    }
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions { repeated_percent: 2, ..LoadOptions::default() })?;
    for round in 1..=rounds {
        trial.progress(round, rounds, "items sent again, the sink killed");
        tokio::time::sleep(Duration::from_millis(700)).await;
        sink.kill_and_start_again().await?;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds;
    let pipeline = trial.pipeline.database().to_owned();
    let mut row = trial.finish(&[&sink]).await?;
    // Up to here the view is what was looked at, and it must hold; the rollup is what the control would have reported.
    ensure!(row.is_clean(), "the view beside the rollup is not clean: {row:?}");
    let counted =
        world.stack.clickhouse().query("migrator", &format!("SELECT sum(items) FROM {pipeline}.rollup")).await?;
    let counted: u64 = counted.trim().parse()?;
    row.doubled = counted.saturating_sub(row.acknowledged);
    row.lost = row.acknowledged.saturating_sub(counted);
    Ok(row)
}

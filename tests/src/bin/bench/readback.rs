//! How long a sink takes to find out what it had stored: the same question as after a lost answer, on tables as they are after
//! months of live items, after a backfill, and merged into one part.

use anyhow::{Context, Result};
use outcry_sandbox::Stack;
use outcry_tests::{Pipeline, Usage, machine};
use outcry_warehouse::{ClickHouseConfig, StoredTable, Warehouse};
use serde_json::{Value, json};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// Partitions of the topic.
const PARTITIONS: u64 = 4;
/// Rows of one filling INSERT; a sink's are smaller, and merged to such parts soon.
const PIECE: u64 = 250_000;
/// Rows of the batch whose fate is asked for.
const BATCH: u64 = 50_000;

/// Of `bench readback`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Rows in the table.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Questions asked of each table.
    #[arg(long, default_value_t = 20)]
    questions: u32,
}

/// One table's figures.
struct Measured {
    table: &'static str,
    parts: u64,
    wall_median: Duration,
    wall_longest: Duration,
    cpu: Duration,
}

/// All of them.
pub struct Readback {
    rows: u64,
    load: [String; 2],
    tables: Vec<Measured>,
}

impl Readback {
    /// One document.
    pub fn to_json(&self) -> Value {
        let table = |measured: &Measured| {
            json!({
                "table": measured.table,
                "parts": measured.parts,
                "wall_ms": { "p50": milliseconds(measured.wall_median), "max": milliseconds(measured.wall_longest) },
                "server_cpu_ms": milliseconds(measured.cpu),
            })
        };
        json!({ "rows": self.rows, "load": self.load, "tables": self.tables.iter().map(table).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Readback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reading back a batch of {BATCH} rows among {} rows", self.rows)?;
        for measured in &self.tables {
            writeln!(
                f,
                "{:<34} {:>4} parts   wall {:>6.1} ms (longest {:.1})   server CPU {:>6.1} ms",
                measured.table,
                measured.parts,
                milliseconds(measured.wall_median),
                milliseconds(measured.wall_longest),
                milliseconds(measured.cpu),
            )?;
        }
        writeln!(f, "load of the machine: {} before, {} after", self.load[0], self.load[1])
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Measures.
pub async fn run(stack: &Stack, options: &Options) -> Result<Readback> {
    let before = machine::load();
    let mut tables = Vec::new();
    let live = Pipeline::prepare_for_benchmark(stack, "").await?;
    fill(&live, options.rows, "number").await?;
    tables.push(measure(&live, options, "live order").await?);
    live.ask_as("migrator", "DROP DATABASE {db}").await?;
    // Of a backfill the offsets say nothing about when something happened, nor the other way round.
    let backfilled = Pipeline::prepare_for_benchmark(stack, "").await?;
    fill(&backfilled, options.rows, "cityHash64(number) % 63072000").await?;
    tables.push(measure(&backfilled, options, "after a backfill").await?);
    backfilled.ask_as("migrator", "OPTIMIZE TABLE {db}.stored_items FINAL").await?;
    tables.push(measure(&backfilled, options, "after a backfill, one part").await?);
    Ok(Readback { rows: options.rows, load: [before, machine::load()], tables })
}

/// Fills the table: each INSERT holds consecutive offsets of one partition, that happened `seconds` after some day.
async fn fill(pipeline: &Pipeline<'_>, rows: u64, seconds: &str) -> Result<()> {
    eprintln!("bench: filling {rows} rows ({seconds})");
    let mut begin = 0;
    while begin < rows {
        let size = PIECE.min(rows - begin);
        let (partition, first) = (begin / PIECE % PARTITIONS, begin / PIECE / PARTITIONS * PIECE);
        let insert = format!(
            "INSERT INTO {{db}}.stored_items (brand, channel, occurred_at, item_id, text, kafka_epoch, kafka_partition, kafka_offset) \
             SELECT 'acme', 'email', toDateTime64('2024-01-01', 3, 'UTC') + toIntervalSecond({seconds}), \
             reinterpretAsUUID(sipHash128(number)), 'late again', 1, {partition}, number - {begin} + {first} \
             FROM numbers({begin}, {size}) SETTINGS max_insert_threads = 1"
        );
        pipeline.ask_as("migrator", &insert).await?;
        begin += size;
    }
    Ok(())
}

async fn measure(pipeline: &Pipeline<'_>, options: &Options, table: &'static str) -> Result<Measured> {
    settle(pipeline).await?;
    let endpoint = pipeline.stack().clickhouse();
    let warehouse = Warehouse::connect(&ClickHouseConfig {
        url: endpoint.url.clone(),
        database: pipeline.database().to_owned(),
        username: "sink".into(),
        password: endpoint.passwords.sink.as_str().into(),
    })?;
    let highest = warehouse.highest_offset(StoredTable::Items, 1, 0).await?.context("the table is empty")?;
    let last = highest + 1 - BATCH.min(highest + 1)..highest + 1;
    let ask = || warehouse.read_back(StoredTable::Items, 1, 0, last.clone());
    let expected = ask().await?.len() as u64;
    anyhow::ensure!(expected == last.end - last.start, "{expected} rows were found in {last:?}");
    let server = pipeline.stack().clickhouse_server()?.pid().context("ClickHouse does not run")?;
    let cpu = Usage::of(server)?.cpu;
    let mut walls = Vec::new();
    for _ in 0..options.questions.max(1) {
        let begun = Instant::now();
        // As after a lost answer: how far, and which of these.
        warehouse.highest_offset(StoredTable::Items, 1, 0).await?;
        ask().await?;
        walls.push(begun.elapsed());
    }
    let cpu = (Usage::of(server)?.cpu - cpu) / options.questions.max(1);
    walls.sort_unstable();
    let parts = "SELECT count() FROM system.parts WHERE active AND database = '{db}' AND table = 'stored_items'";
    Ok(Measured {
        table,
        parts: pipeline.number(parts).await?,
        wall_median: walls[walls.len() / 2],
        wall_longest: walls[walls.len() - 1],
        cpu,
    })
}

/// Merges that run would count as the question's CPU time.
async fn settle(pipeline: &Pipeline<'_>) -> Result<()> {
    let begun = Instant::now();
    while pipeline.number("SELECT count() FROM system.merges WHERE database = '{db}'").await? > 0 {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(300), "merges do not end");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

//! One fault's run: a pipeline of its own, a load, what heals, and the invariants.

use crate::{
    check,
    load::{Load, LoadOptions},
    random::Random,
    report::Row,
    sink::{Sink, SinkOptions},
    world::World,
};
use anyhow::Result;
use outcry_kafka::{Topic, group_positions};
use outcry_sandbox::FaultProxy;
use outcry_tests::Pipeline;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// After this long without a manual step everything must have recovered.
pub const RECOVERY: Duration = Duration::from_secs(60);
/// After this long without recovery the logs are shown.
const SLOW: Duration = Duration::from_secs(10);
const SHOWN_LINES: usize = 25;
/// What a sink may hold in memory under load.
const SINK_MEMORY: u64 = 128_000_000;

/// A session that ends soon, so that a dead member's partitions go to another within the round.
const SESSION_TIMEOUT: (&str, &str) = ("OUTCRY_KAFKA__SESSION_TIMEOUT_MS", "4000");

/// One fault's run.
pub struct Trial<'a> {
    /// Topics, database, configuration.
    pub pipeline: Pipeline<'a>,
    /// Before ClickHouse, for every sink of this trial.
    pub proxy: FaultProxy,
    /// This fault's own stream.
    pub random: Random,
    /// What will be reported.
    pub row: Row,
    /// SHA-256 of what belongs into dead letters, and how often.
    pub letters: BTreeMap<String, u64>,
    /// A record of `items.classified` that holds its partition, on purpose: nothing from it on may be stored or committed.
    pub held: Option<(i32, i64)>,
    /// Bytes that a sink may hold in memory.
    pub sink_memory: u64,
    clickhouse_url: String,
    load: Option<Load>,
}

impl<'a> Trial<'a> {
    /// Topics and tables; `sections` is configuration beyond the usual.
    pub async fn prepare(world: &'a World, id: &str, what: &'static str, sections: &str) -> Result<Self> {
        eprintln!("faults: {id}: {what}");
        let pipeline = Pipeline::prepare(&world.stack, sections).await?;
        // A merge would remove what was written twice before it is counted.
        let keep = "ALTER TABLE {db}.stored_items MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, \
                    max_bytes_to_merge_at_min_space_in_pool = 1, parts_to_delay_insert = 100000, parts_to_throw_insert = 100000";
        pipeline.ask_as("migrator", keep).await?;
        let (proxy, clickhouse_url) = world.clickhouse_proxy()?;
        let random = Random::new(world.seed, id);
        let row = Row { id: id.to_owned(), what, ..Row::default() };
        Ok(Self {
            pipeline,
            proxy,
            random,
            row,
            letters: BTreeMap::new(),
            held: None,

            sink_memory: SINK_MEMORY,
            clickhouse_url,
            load: None,
        })
    }

    /// Items begin to come.
    pub fn begin_load(&mut self, options: LoadOptions) -> Result<()> {
        let seed = self.random.below(u64::MAX);
        self.load = Some(Load::start(&self.pipeline.kafka(), options, seed)?);
        Ok(())
    }

    /// A sink behind the trial's proxy.
    pub fn sink(&self, options: SinkOptions) -> Result<Sink> {
        let options =
            options.with("OUTCRY_CLICKHOUSE__URL", &self.clickhouse_url).with(SESSION_TIMEOUT.0, SESSION_TIMEOUT.1);
        Sink::start(&self.pipeline, &options)
    }

    /// Acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.load.as_ref().map_or(0, Load::acknowledged)
    }

    /// Says how far it is, where somebody watches.
    pub fn progress(&self, round: u64, rounds: u64, text: &str) {
        let of = if rounds == 0 { String::new() } else { format!("/{rounds}") };
        eprintln!("faults: {} {round}{of}: {text} ({} acknowledged)", self.row.id, self.acknowledged());
    }

    /// Waits until all that is acknowledged now is committed by the sink; the time since `healed` counts as this round's.
    pub async fn recovered_since(&mut self, healed: Instant) -> Result<()> {
        let Some(load) = &self.load else { return Ok(()) };
        let (topic, ends) = (load.topic, load.ends());
        let recovered = self.wait_committed(topic, ends).await;
        self.row.heal_seconds = self.row.heal_seconds.max(healed.elapsed().as_secs_f64());
        if let Err(behind) = recovered {
            self.row.problems.push(format!("I7: {RECOVERY:?} after the fault ended {behind}"));
        }
        self.check_commits().await
    }

    async fn wait_committed(&self, topic: Topic, ends: BTreeMap<i32, i64>) -> Result<(), String> {
        let begun = Instant::now();
        if topic == Topic::ItemsRaw {
            self.wait_group("classifier", topic, &ends, begun).await?;
            let positions = group_positions(&self.pipeline.kafka(), "sink", Topic::ItemsClassified).await;
            let ends = positions.map_err(|error| error.to_string())?;
            let ends = ends.into_iter().map(|(partition, position)| (partition, position.end)).collect();
            return self.wait_group("sink", Topic::ItemsClassified, &ends, begun).await;
        }
        self.wait_group("sink", topic, &ends, begun).await
    }

    /// Why it takes long: what the server is doing, and what the sinks said last.
    async fn explain(&self) {
        let running = "SELECT query_id, elapsed, is_cancelled, left(query, 60) FROM system.processes";
        for line in self.pipeline.ask_as("migrator", running).await.unwrap_or_default() {
            eprintln!("faults: {}: ClickHouse runs {line}", self.row.id);
        }
        let folder = self.pipeline.config().with_file_name("");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read(&path).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                let lines: Vec<&str> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
                eprintln!("--- end of {}:\n{end}\n---", path.display());
            }
        }
    }

    async fn wait_group(
        &self,
        group: &str,
        topic: Topic,
        ends: &BTreeMap<i32, i64>,
        begun: Instant,
    ) -> Result<(), String> {
        let mut explained = false;
        loop {
            let behind = match group_positions(&self.pipeline.kafka(), group, topic).await {
                Ok(positions) => {
                    let committed = |partition| positions.get(partition).and_then(|at| at.committed).unwrap_or(0);
                    let wished = |(partition, end): (&i32, &i64)| match self.held {
                        Some((held, offset)) if held == *partition => offset.min(*end),
                        _ => *end,
                    };
                    let behind: Vec<_> = ends.iter().filter(|end| committed(end.0) < wished(*end)).collect();
                    if behind.is_empty() {
                        return Ok(());
                    }
                    format!("{group} has not committed these ends of {topic:?}: {behind:?}")
                }
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > SLOW && !explained {
                eprintln!("faults: {}: slow to recover: {behind}", self.row.id);
                self.explain().await;
                explained = true;
            }
            if begun.elapsed() > RECOVERY {
                return Err(behind);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// I4: nothing is committed that is not stored.
    pub async fn check_commits(&mut self) -> Result<()> {
        let found = check::commits(&self.pipeline).await;
        // A server that is down will be asked next time.
        self.row.problems.extend(found.unwrap_or_default());
        Ok(())
    }

    /// Ends the load, waits until nothing lags, checks every invariant.
    pub async fn finish(mut self, sinks: &[&Sink]) -> Result<Row> {
        let topic = self.load.as_ref().map_or(Topic::ItemsClassified, |load| load.topic);
        let (mut ledger, ends) = match self.load.take() {
            Some(load) => load.stop().await?,
            None => Default::default(),
        };
        let begun = Instant::now();
        if let Err(behind) = self.wait_committed(topic, ends).await {
            self.row.problems.push(format!("I7: {behind}"));
        }
        self.row.heal_seconds = self.row.heal_seconds.max(begun.elapsed().as_secs_f64());
        self.check_commits().await?;
        if let Some((partition, offset)) = self.held {
            let all = ledger.len();
            ledger.retain(|_, entry| entry.position.0 != partition || entry.position.1 < offset);
            self.row.notes.push(format!("{} items wait behind the held record", all - ledger.len()));
        }
        check::items(&self.pipeline, &ledger, &mut self.row).await?;
        check::dead_letters(&self.pipeline, &self.letters, &mut self.row).await?;
        for sink in sinks {
            let peak = sink.peak_rss_bytes().unwrap_or_default();
            if peak > self.sink_memory {
                self.row.problems.push(format!("I8: a sink held {} MB", peak / 1_000_000));
            }
        }
        Ok(self.row)
    }
}

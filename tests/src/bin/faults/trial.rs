//! One fault's run: a pipeline of its own, a load, what heals, and the invariants.

use crate::{
    check,
    load::{Ledger, Load, LoadOptions},
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
/// What a sink may hold in memory under load.
const SINK_MEMORY: u64 = 128_000_000;

/// A session that ends soon, so that a dead member's partitions go to another within the round.
const SESSION_TIMEOUT: (&str, &str) = ("OUTCRY_KAFKA__SESSION_TIMEOUT_MS", "4000");

/// One fault's run.
pub struct Trial<'a> {
    /// The servers.
    pub world: &'a World,
    /// Topics, database, configuration.
    pub pipeline: Pipeline<'a>,
    /// Before ClickHouse, for every sink of this trial.
    pub proxy: FaultProxy,
    /// This fault's own stream.
    pub random: Random,
    /// What will be reported.
    pub row: Row,
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
        Ok(Self { world, pipeline, proxy, random, row, clickhouse_url, load: None })
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

    /// Says how far it is, where somebody watches.
    pub fn progress(&self, round: u64, rounds: u64, text: &str) {
        let acknowledged = self.load.as_ref().map_or(0, Load::acknowledged);
        eprintln!("faults: {} {round}/{rounds}: {text} ({acknowledged} acknowledged)", self.row.id);
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

    async fn wait_group(
        &self,
        group: &str,
        topic: Topic,
        ends: &BTreeMap<i32, i64>,
        begun: Instant,
    ) -> Result<(), String> {
        loop {
            let behind = match group_positions(&self.pipeline.kafka(), group, topic).await {
                Ok(positions) => {
                    let committed = |partition| positions.get(partition).and_then(|at| at.committed).unwrap_or(0);
                    let behind: Vec<_> = ends.iter().filter(|(partition, end)| committed(partition) < **end).collect();
                    if behind.is_empty() {
                        return Ok(());
                    }
                    format!("{group} has not committed these ends of {topic:?}: {behind:?}")
                }
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > RECOVERY {
                return Err(behind);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// I4: nothing is committed that is not stored.
    pub async fn check_commits(&mut self) -> Result<()> {
        // Kafka first: what is committed now must be stored by the time that ClickHouse is asked.
        let Ok(positions) = group_positions(&self.pipeline.kafka(), "sink", Topic::ItemsClassified).await else {
            return Ok(());
        };
        for (partition, position) in positions {
            let committed = position.committed.unwrap_or(0);
            let question = format!(
                "SELECT uniqExact(kafka_offset) FROM {{db}}.stored_items WHERE kafka_partition = {partition} AND kafka_offset < {committed}"
            );
            // A server that is down will be asked next time.
            let Ok(stored) = self.pipeline.number(&question).await else { return Ok(()) };
            if stored as i64 != committed {
                let missing = committed - stored as i64;
                self.row.problems.push(format!(
                    "I4: partition {partition} is committed to {committed}, and {missing} offsets below are not stored"
                ));
            }
        }
        Ok(())
    }

    /// Ends the load and gives the ledger.
    pub async fn end_load(&mut self) -> Result<Ledger> {
        match self.load.take() {
            Some(load) => load.stop().await,
            None => Ok(Ledger::new()),
        }
    }

    /// Ends the load, waits until nothing lags, checks every invariant.
    pub async fn finish(mut self, sinks: &[&Sink]) -> Result<Row> {
        let topic = self.load.as_ref().map_or(Topic::ItemsClassified, |load| load.topic);
        let ends = self.load.as_ref().map(Load::ends).unwrap_or_default();
        let ledger = self.end_load().await?;
        let begun = Instant::now();
        if let Err(behind) = self.wait_committed(topic, ends).await {
            self.row.problems.push(format!("I7: {behind}"));
        }
        self.row.heal_seconds = self.row.heal_seconds.max(begun.elapsed().as_secs_f64());
        self.check_commits().await?;
        check::items(&self.pipeline, &ledger, &mut self.row).await?;
        for sink in sinks {
            let peak = sink.peak_rss_bytes().unwrap_or_default();
            if peak > SINK_MEMORY {
                self.row.problems.push(format!("I8: a sink held {} MB", peak / 1_000_000));
            }
        }
        Ok(self.row)
    }
}

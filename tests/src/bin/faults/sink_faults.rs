//! What happens to the sink: killed at every step (F1), answers that never arrive (F6), a zombie (F7), a rebalance storm (F8).

use crate::{
    load::LoadOptions,
    report::Row,
    sink::{Sink, SinkOptions},
    trial::Trial,
    world::World,
};
use anyhow::{Result, ensure};
use outcry_sandbox::Fault;
use std::time::{Duration, Instant};

/// Every step of the sink, each before the ones that its failure prepares: what was stored and not committed is read back.
const POINTS: [&str; 13] = [
    "sink::polled",
    "sink::encoded",
    "sink::before_insert",
    "sink::sent",
    "sink::response_lost",
    "sink::after_insert",
    "sink::before_commit",
    "sink::read_back",
    "sink::after_commit",
    "sink::fence_taken",
    "sink::predecessors_killed",
    "sink::before_commit",
    "sink::in_rebalance",
];

/// Within which a step is reached.
const REACHED: Duration = Duration::from_secs(15);

/// One kill: a sink is started that will end at this step. `true` if it did.
async fn killed_at(trial: &mut Trial<'_>, point: &str, options: SinkOptions) -> Result<bool> {
    let once = |name: &str| matches!(name, "sink::in_rebalance" | "sink::after_commit");
    let spared = if once(point) { 0 } else { trial.random.below(4) };
    let milliseconds = match point {
        "sink::sent" => trial.random.below(4),
        _ => 3 + trial.random.below(60),
    };
    let action = match spared {
        0 => format!("{point}=return({milliseconds})"),
        _ => format!("{point}={spared}*off->return({milliseconds})"),
    };
    let sink = trial.sink(options.with("FAILPOINTS", action))?;
    let mut second = None;
    if point == "sink::in_rebalance" {
        sink.ready().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        second = Some(trial.sink(SinkOptions::real("two"))?);
    }
    let reached = sink.ended(REACHED).await.is_some();
    if !reached {
        trial.row.notes.push(format!("{point} was not reached within {REACHED:?}; killed there instead"));
    }
    sink.kill();
    if let Some(second) = second {
        second.kill();
    }
    Ok(reached)
}

/// F1.
pub async fn f1(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(6, 40, 500);
    let mut trial = Trial::prepare(world, "F1", "sink killed at every step", "").await?;
    trial.begin_load(LoadOptions::default())?;
    // A brief run takes other steps with another seed.
    let first = trial.random.below(POINTS.len() as u64);
    let mut reached = 0;
    for round in 0..rounds {
        let point = POINTS[((first + round) % POINTS.len() as u64) as usize];
        trial.progress(round + 1, rounds, point);
        reached += u64::from(killed_at(&mut trial, point, SinkOptions::faulty("one")).await?);
        trial.check_commits().await?;
    }
    trial.row.rounds = rounds;
    ensure!(reached * 10 >= rounds * 8, "only {reached} of {rounds} steps were reached: {:?}", trial.row.notes);
    let healed = Instant::now();
    let sink = trial.sink(SinkOptions::real("one"))?;
    trial.recovered_since(healed).await?;
    trial.finish(&[&sink]).await
}

/// Lets the server do its work and swallows what it says, for one answer or a few.
async fn drop_answers(trial: &mut Trial<'_>) -> Result<()> {
    let dropped = trial.proxy.dropped_responses();
    let wished = dropped + 1 + trial.random.below(4);
    trial.proxy.set(Fault::DropResponse);
    let begun = Instant::now();
    while trial.proxy.dropped_responses() < wished && begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    trial.proxy.set(Fault::None);
    ensure!(trial.proxy.dropped_responses() > dropped, "no answer of ClickHouse passed the proxy for ten seconds");
    Ok(())
}

/// F6.
pub async fn f6(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(5, 20, 300);
    let mut trial = Trial::prepare(world, "F6", "ClickHouse's answers lost after the commit", "").await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions::default())?;
    for round in 1..=rounds {
        let pause = trial.random.milliseconds(100, 1200);
        tokio::time::sleep(pause).await;
        trial.progress(round, rounds, "answers dropped");
        drop_answers(&mut trial).await?;
        if round % 5 == 0 {
            trial.recovered_since(Instant::now()).await?;
        }
    }
    trial.row.rounds = rounds;
    let found = sink.counter("outcry_sink_rows_already_stored_total", "").await?;
    trial.row.notes.push(format!("{found} rows were found stored although no answer had said so"));
    trial.finish(&[&sink]).await
}

/// F7: a sink is stopped with an INSERT on its way, another takes over and stores the same rows, then the INSERT arrives and
/// the first one wakes.
pub async fn f7(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 3, 50);
    let mut trial = Trial::prepare(world, "F7", "a stopped sink wakes after its session", "").await?;
    trial.begin_load(LoadOptions::default())?;
    let (mut fenced, mut names) = (0, ["one", "two"]);
    let mut sink = trial.sink(SinkOptions::real(names[0]))?;
    sink.ready().await?;
    for round in 1..=rounds {
        trial.recovered_since(Instant::now()).await?;
        trial.progress(round, rounds, "the sink stops, its requests are under way");
        trial.proxy.set(Fault::Blackhole);
        let pause = trial.random.milliseconds(400, 1500);
        tokio::time::sleep(pause).await;
        sink.freeze()?;
        // The successor has a way of its own to ClickHouse.
        let direct = world.stack.clickhouse().url.clone();
        let successor = direct_sink(&trial, names[1], &direct)?;
        let begun = Instant::now();
        trial.recovered_since(begun).await?;
        trial.progress(round, rounds, "the other one has taken over; the first wakes");
        trial.proxy.set(Fault::None);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let healed = Instant::now();
        sink.unfreeze()?;
        trial.recovered_since(healed).await?;
        fenced += fenced_inserts(&sink).await;
        // The sinks change places; the next round's zombie is again behind the proxy.
        sink.kill();
        successor.terminate().await;
        names.reverse();
        sink = trial.sink(SinkOptions::real(names[0]))?;
    }
    trial.row.rounds = rounds;
    trial.row.notes.push(format!("{fenced} late INSERTs were refused by the fence"));
    trial.finish(&[&sink]).await
}

/// A sink that does not pass the trial's proxy.
fn direct_sink(trial: &Trial<'_>, instance: &'static str, url: &str) -> Result<Sink> {
    let options = SinkOptions::real(instance).with("OUTCRY_KAFKA__SESSION_TIMEOUT_MS", "4000");
    Sink::start(&trial.pipeline, &options.with("OUTCRY_CLICKHOUSE__URL", url))
}

async fn fenced_inserts(sink: &Sink) -> u64 {
    sink.counter("outcry_sink_inserts_total", "result=\"fenced\"").await.unwrap_or_default()
}

/// F8.
pub async fn f8(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(4, 20, 300);
    let mut trial = Trial::prepare(world, "F8", "rebalance storm: a member comes or goes every 2 s", "").await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions::default())?;
    let mut second: Option<Sink> = None;
    for round in 1..=rounds {
        match second.take() {
            Some(member) if trial.random.below(2) == 0 => member.kill(),
            Some(member) => member.terminate().await,
            None => second = Some(trial.sink(SinkOptions::real("two"))?),
        }
        trial.progress(round, rounds, if second.is_some() { "a member came" } else { "a member went" });
        tokio::time::sleep(Duration::from_secs(2)).await;
        trial.check_commits().await?;
    }
    trial.row.rounds = rounds;
    drop(second);
    trial.recovered_since(Instant::now()).await?;
    trial.finish(&[&sink]).await
}

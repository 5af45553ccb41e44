//! What a network does to each edge of the sink (F5), and everything at once in random order (F18).

use crate::{
    load::LoadOptions,
    report::Row,
    service_faults::{CLASSIFIER, raw},
    sink::{Sink, SinkOptions},
    trial::Trial,
    world::World,
};
use anyhow::Result;
use outcry_sandbox::Fault;
use std::time::{Duration, Instant};

/// Never inside a request's head, which the embedded engine does not survive: the statement in it is about 12 kB long.
const BEYOND_THE_HEAD: u64 = 40_000;

const CLICKHOUSE_FAULTS: [(&str, Fault); 7] = [
    ("refuses", Fault::Off),
    ("is silent", Fault::Blackhole),
    ("is late", Fault::Delay(Duration::from_millis(300))),
    ("loses answers", Fault::DropResponse),
    ("answers at 200 B/s", Fault::SlowResponse(200)),
    ("is cut in its answers", Fault::CutResponseAfter(120)),
    ("is cut in a request", Fault::CutRequestAfter(BEYOND_THE_HEAD)),
];

const KAFKA_FAULTS: [(&str, Fault); 5] = [
    ("refuses", Fault::Off),
    ("is silent", Fault::Blackhole),
    ("is late", Fault::Delay(Duration::from_millis(200))),
    ("answers at 125 kB/s", Fault::SlowResponse(125_000)),
    ("is cut in its answers", Fault::CutResponseAfter(50_000)),
];

/// F5.
pub async fn f5(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(3, 12, 150);
    let mut trial =
        Trial::prepare(world, "F5", "silent, slow, cut, refused: edges to ClickHouse and Kafka", "").await?;
    let sink =
        trial.sink(SinkOptions::real("one").with("OUTCRY_KAFKA__BOOTSTRAP_SERVERS", world.proxied_bootstrap()))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions::default())?;
    for round in 1..=rounds {
        let to_clickhouse = round % 12 < 7;
        let choice = (round as usize) % 12;
        let (name, fault) = if to_clickhouse { CLICKHOUSE_FAULTS[choice] } else { KAFKA_FAULTS[choice - 7] };
        let (edge, proxy) = if to_clickhouse { ("ClickHouse", &trial.proxy) } else { ("Kafka", &world.kafka_proxy) };
        trial.progress(round, rounds, &format!("{edge} {name}"));
        if matches!(fault, Fault::CutRequestAfter(_)) {
            // Bytes are counted from the beginning of a connection.
            proxy.cut_connections();
        }
        proxy.set(fault);
        let lasting = trial.random.milliseconds(1500, 6000);
        tokio::time::sleep(lasting).await;
        let proxy = if to_clickhouse { &trial.proxy } else { &world.kafka_proxy };
        proxy.set(Fault::None);
        if trial.random.below(2) == 0 {
            let proxy = if to_clickhouse { &trial.proxy } else { &world.kafka_proxy };
            proxy.cut_connections();
        }
        revive(world, &mut trial).await?;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds;
    trial.finish(&[&sink]).await
}

async fn revive(world: &World, trial: &mut Trial<'_>) -> Result<()> {
    if world.revive_clickhouse().await? {
        trial
            .row
            .notes
            .push("the embedded ClickHouse ended (a client hung up inside a request's head); started again".into());
    }
    Ok(())
}

/// F18.
pub async fn f18(world: &World) -> Result<Row> {
    let lasting = Duration::from_secs(world.rounds.of(25, 300, 7200));
    let mut trial = Trial::prepare(world, "F18", "everything at once, at random", "").await?;
    trial.pipeline.start(&[CLASSIFIER]).await?;
    let options = SinkOptions::real("one").with("OUTCRY_KAFKA__BOOTSTRAP_SERVERS", world.proxied_bootstrap());
    let sinks = [trial.sink(options.clone())?, trial.sink(SinkOptions { instance: "two", ..options })?];
    trial.begin_load(raw(300))?;
    let begun = Instant::now();
    while begun.elapsed() < lasting {
        let pause = trial.random.milliseconds(100, 2500);
        tokio::time::sleep(pause).await;
        strike(world, &mut trial, &sinks).await?;
        trial.row.rounds += 1;
        trial.check_commits().await?;
    }
    trial.proxy.set(Fault::None);
    world.kafka_proxy.set(Fault::None);
    revive(world, &mut trial).await?;
    trial.recovered_since(Instant::now()).await?;
    trial.finish(&[&sinks[0], &sinks[1]]).await
}

async fn strike(world: &World, trial: &mut Trial<'_>, sinks: &[Sink; 2]) -> Result<()> {
    let round = trial.row.rounds;
    let lasting = trial.random.milliseconds(200, 6000);
    let which = trial.random.below(2) as usize;
    match trial.random.below(8) {
        0 | 1 => {
            trial.progress(round, 0, "sink killed");
            sinks[which].kill();
            sinks[which].start_again()?;
        }
        2 => {
            trial.progress(round, 0, "sink stopped");
            sinks[which].freeze()?;
            tokio::time::sleep(lasting).await;
            sinks[which].unfreeze()?;
        }
        3 => {
            trial.progress(round, 0, "classifier killed");
            trial.pipeline.service(CLASSIFIER).kill();
            trial.pipeline.service(CLASSIFIER).start_again()?;
        }
        4 => {
            trial.progress(round, 0, "ClickHouse killed");
            world.clickhouse()?.kill();
            tokio::time::sleep(lasting / 4).await;
            world.clickhouse()?.restart().await?;
        }
        5 => {
            trial.progress(round, 0, "broker killed");
            world.kafka()?.kill();
            world.kafka()?.restart().await?;
        }
        6 => {
            let (name, fault) = *trial.random.pick(&CLICKHOUSE_FAULTS[..6]);
            trial.progress(round, 0, &format!("ClickHouse {name}"));
            trial.proxy.set(fault);
            tokio::time::sleep(lasting).await;
            trial.proxy.set(Fault::None);
        }
        _ => {
            let (name, fault) = *trial.random.pick(&KAFKA_FAULTS);
            trial.progress(round, 0, &format!("Kafka {name}"));
            world.kafka_proxy.set(fault);
            tokio::time::sleep(lasting).await;
            world.kafka_proxy.set(Fault::None);
        }
    }
    Ok(())
}

//! The services before the sink killed (F3), the broker killed and stopped (F4), and down for long under webhooks (F12).

use crate::{
    check, door::Door, front_faults, load::LoadOptions, report::Row, sink::SinkOptions, trial::Trial, world::World,
};
use anyhow::Result;
use outcry_kafka::Topic;
use outcry_tests::phone::PhoneFront;
use std::time::{Duration, Instant};

/// Reads `items.raw`.
pub const CLASSIFIER: &str = "outcry-classifier";
/// Where webhooks come in.
pub const PHONE: &str = "outcry-phone-connector";

/// What goes through classifier and sink.
pub fn raw(per_second: u64) -> LoadOptions {
    LoadOptions { topic: Topic::ItemsRaw, per_second, ..LoadOptions::default() }
}

/// F3, in a few words.
pub const KILLED: &str = "classifier and each connector killed";

/// F3.
pub async fn f3(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(2, 10, 200);
    let front = PhoneFront::new()?;
    let mut trial = Trial::prepare(world, "F3", KILLED, &front.sections()).await?;
    trial.pipeline.start(&[CLASSIFIER, PHONE]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(raw(400))?;
    let door = Door::open(&front, 50);
    for round in 1..=rounds {
        for service in [CLASSIFIER, PHONE] {
            let pause = trial.random.milliseconds(200, 1500);
            tokio::time::sleep(pause).await;
            trial.progress(round, rounds, service);
            trial.pipeline.kill_and_start_again(service).await?;
        }
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds * 2;
    let accepted = door.close().await?;
    check::calls(&trial.pipeline, &accepted, &mut trial.row).await?;
    let mut row = trial.finish(&[&sink]).await?;
    row.add(front_faults::connectors_killed(world, rounds).await?);
    Ok(row)
}

/// F4.
pub async fn f4(world: &World) -> Result<Row> {
    let (kills, stops) = (world.rounds.of(1, 5, 100), world.rounds.of(1, 1, 20));
    let stopped = Duration::from_secs(world.rounds.of(8, 45, 45));
    let mut trial = Trial::prepare(world, "F4", "broker killed; broker stopped for 45 s", "").await?;
    trial.pipeline.start(&[CLASSIFIER]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(raw(300))?;
    for round in 1..=kills + stops {
        let pause = trial.random.milliseconds(500, 2500);
        tokio::time::sleep(pause).await;
        if round <= kills {
            trial.progress(round, kills + stops, "SIGKILL");
            world.kafka()?.kill();
            world.kafka()?.restart().await?;
        } else {
            trial.progress(round, kills + stops, "SIGSTOP");
            world.kafka()?.stop_process()?;
            tokio::time::sleep(stopped).await;
            world.kafka()?.continue_process()?;
        }
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = kills + stops;
    trial.finish(&[&sink]).await
}

/// F12.
pub async fn f12(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 2, 50);
    let half = Duration::from_secs(world.rounds.of(5, 60, 60));
    let per_second = world.rounds.of(100, 500, 500);
    let front = PhoneFront::new()?;
    let what = "broker down for 2 min under webhooks, with a kill";
    let mut trial = Trial::prepare(world, "F12", what, &front.sections()).await?;
    trial.pipeline.start(&[CLASSIFIER, PHONE]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let door = Door::open(&front, per_second);
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.progress(round, rounds, &format!("broker down; {} accepted so far", door.accepted()));
        world.kafka()?.kill();
        tokio::time::sleep(half).await;
        trial.progress(round, rounds, &format!("connector killed; {} accepted so far", door.accepted()));
        let phone = trial.pipeline.service(PHONE);
        phone.kill();
        phone.start_again()?;
        tokio::time::sleep(half).await;
        trial.progress(round, rounds, &format!("broker up again; {} accepted so far", door.accepted()));
        world.kafka()?.restart().await?;
        phone.wait_ready(Duration::from_secs(60)).await?;
    }
    trial.row.rounds = rounds;
    let refused = door.refused();
    let accepted = door.close().await?;
    trial.row.notes.push(format!("{refused} webhooks were not answered 2xx and do not count as accepted"));
    check::calls(&trial.pipeline, &accepted, &mut trial.row).await?;
    trial.finish(&[&sink]).await
}

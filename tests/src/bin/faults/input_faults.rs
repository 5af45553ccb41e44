//! Records that cannot be used among those that can (F9), and records of other releases (F10).

use crate::{
    load::{LoadOptions, upper_hex},
    report::Row,
    service_faults::{CLASSIFIER, raw},
    sink::SinkOptions,
    trial::Trial,
    world::World,
};
use anyhow::{Result, ensure};
use outcry_kafka::Topic;
use outcry_tests::{
    Generator,
    generate::{category_of, classified},
};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// The largest record that any topic takes.
const LARGEST: usize = 12 * 1024 * 1024;
/// What a dead letter keeps of it: the rest is for its description.
const KEPT: usize = LARGEST - 64 * 1024;

/// Bytes that are no item, each time others.
fn poison(number: u64) -> Vec<u8> {
    let good = serde_json::to_string(&Generator::new("acme", 99).item(number)).unwrap_or_default();
    match number % 7 {
        0 => format!("not JSON {number}").into_bytes(),
        1 => good.as_bytes()[..good.len() / 2].to_vec(),
        2 => good.replace("\"revision\":0", &format!("\"revision\":\"type error {number}\"")).into_bytes(),
        3 => [b"\xff\xfe", good.as_bytes()].concat(),
        4 => good.replace("\"text\":\"", "\"text\":\"\\ud83d").into_bytes(),
        5 => format!("{{\"schema_version\":1,\"item_id\":\"{number}\"}}").into_bytes(),
        _ => format!("[{number}]").into_bytes(),
    }
}

/// A good item that fits into `items.raw`, and with its classification no longer into `items.classified`.
fn oversize() -> Result<Vec<u8>> {
    let mut item = Generator::new("acme", 98).item(1);
    item.text = String::new();
    let bare = serde_json::to_vec(&item)?.len();
    // Room for the record's key, none for a classification.
    item.text = "a".repeat(LARGEST - 200 - bare);
    Ok(serde_json::to_vec(&item)?)
}

/// F9.
pub async fn f9(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 1, 20);
    let items = world.rounds.of(4_000, 50_000, 50_000);
    let mut trial = Trial::prepare(world, "F9", "1 % of the records cannot be used, some too large", "").await?;
    trial.pipeline.start(&[CLASSIFIER]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let publisher = trial.pipeline.publisher()?;
    let mut poisoned = 0;
    trial.begin_load(raw(2_000))?;
    for round in 1..=rounds {
        trial.progress(round, rounds, "poison among items");
        while trial.acknowledged() < items * round {
            while poisoned * 100 < trial.acknowledged() {
                poisoned += 1;
                let bytes = poison(poisoned);
                let topic = if poisoned % 2 == 0 { Topic::ItemsRaw } else { Topic::ItemsClassified };
                *trial.letters.entry(upper_hex(&Sha256::digest(&bytes))).or_default() += 1;
                publisher.publish(topic, &format!("poison-{poisoned}"), bytes).await?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let bytes = oversize()?;
    *trial.letters.entry(upper_hex(&Sha256::digest(&bytes[..KEPT]))).or_default() += 1;
    publisher.publish(Topic::ItemsRaw, "oversize", bytes).await?;
    trial.row.rounds = rounds;
    trial.row.notes.push(format!("{} bad records, compared with dead letters to the byte", poisoned + 1));
    // A record of 12 MB is in the sink's memory as it came, encoded, and on its way.
    trial.sink_memory += 6 * LARGEST as u64;
    trial.finish(&[&sink]).await
}

/// F10.
pub async fn f10(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 2, 20);
    let mut trial = Trial::prepare(world, "F10", "columns added, unknown fields, an unknown version", "").await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions { unknown_fields: true, ..LoadOptions::default() })?;
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.progress(round, rounds, "a column is added");
        let add = format!("ALTER TABLE {{db}}.stored_items ADD COLUMN of_a_later_release_{round} String DEFAULT ''");
        trial.pipeline.ask_as("migrator", &add).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds;
    let kept = "SELECT count() FROM {db}.stored_items WHERE unknown_fields LIKE '%from_a_later_release%'";
    ensure!(trial.pipeline.number(kept).await? > 0, "fields that no release knows are not kept");
    // The envelope of another release, in the middle of the stream.
    let mut newer = serde_json::to_value(classified(Generator::new("acme", 97).item(1), category_of(1)))?;
    newer["item"]["schema_version"] = 2.into();
    let publisher = trial.pipeline.publisher()?;
    let held = publisher.publish(Topic::ItemsClassified, "newer", newer.to_string().into_bytes()).await?;
    trial.held = Some((held.partition, held.offset));
    let said = sink.health(503, Duration::from_secs(30)).await?;
    ensure!(said.contains("schema version"), "the sink does not say why it is not ready: {said}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    trial.finish(&[&sink]).await
}

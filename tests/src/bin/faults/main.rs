//! Faults injected into the real pipeline, and what an analyst sees afterwards.
//!
//! `cargo run --release -p outcry-tests --bin faults -- [--only F1,F6] [--rounds brief|ci|long] [--seed S] [--format json]`.
//! Real binaries, a real Kafka, a real ClickHouse. Items keep coming while things break; then the ledger of what was
//! acknowledged is compared with the view, by set difference. Negative controls write wrongly on purpose and must be
//! seen to lose or double. The kill points inside the sink are in a build of it that no release makes (`faulty_sink`).

mod build;
mod check;
mod clickhouse_faults;
mod controls;
mod disk_faults;
mod door;
mod front_faults;
mod input_faults;
mod load;
mod mail_faults;
mod network_faults;
mod other_tests;
mod phone_faults;
mod random;
mod report;
mod service_faults;
mod sink;
mod sink_faults;
mod trial;
mod world;

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use report::{Report, Row};
use std::{collections::BTreeSet, process::ExitCode, time::Instant};
use world::{Rounds, World};

/// Breaks everything that can break, and counts.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these, such as `F1,F6,rollup`; `controls` stands for every control.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How often each fault is injected.
    #[arg(long, value_enum, default_value_t = Rounds::Ci)]
    rounds: Rounds,
    /// The same seed chooses the same faults; by default the time.
    #[arg(long)]
    seed: Option<u64>,
    /// How to print what came of it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// So many faults side by side, of those that touch no server; the others run one by one after them.
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Use the services as they are instead of building them first; only the sink with failpoints is built.
    #[arg(long)]
    no_build: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

const FAULTS: [&str; 19] = [
    "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F12b", "F13", "F14", "F15", "F16",
    "F18", "mailbox",
];
/// They strike their own sinks and proxies only, so that others may run beside them.
const APART: [&str; 8] = ["F1", "F6", "F7", "F8", "F9", "F10", "commit-first", "rollup"];
const CONTROLS: [&str; 3] = ["token-only", "commit-first", "rollup"];

async fn fault(world: &World, id: &str) -> Result<Row> {
    match id {
        "F1" => sink_faults::f1(world).await,
        "F2" => clickhouse_faults::f2(world).await,
        "F3" => service_faults::f3(world).await,
        "F4" => service_faults::f4(world).await,
        "F5" => network_faults::f5(world).await,
        "F6" => sink_faults::f6(world).await,
        "F7" => sink_faults::f7(world).await,
        "F8" => sink_faults::f8(world).await,
        "F9" => input_faults::f9(world).await,
        "F10" => input_faults::f10(world).await,
        "F11" => disk_faults::f11(world).await,
        "F12" => service_faults::f12(world).await,
        "F12b" => phone_faults::f12b(world).await,
        "F15" => phone_faults::f15(world).await,
        "F13" => other_tests::f13(world.rounds.of(500, 2_000, 100_000)),
        "F14" => mail_faults::f14(world).await,
        "mailbox" => mail_faults::mailbox(world).await,
        "F16" => other_tests::f16(world.rounds.of(2_000, 2_000, 1_000_000)),
        "F18" => network_faults::f18(world).await,
        "token-only" => controls::token_only(world).await,
        "commit-first" => controls::commit_first(world).await,
        "rollup" => controls::rollup(world).await,
        other => bail!("there is no fault {other}"),
    }
}

/// The same, and says how it went.
async fn timed<'a>(world: &World, id: &'a str) -> Result<(&'a str, Row)> {
    let begun = Instant::now();
    let row = fault(world, id).await.with_context(|| format!("{id} (seed {})", world.seed))?;
    let [lost, doubled, physical] = [row.lost, row.doubled, row.physical_duplicates];
    let seconds = begun.elapsed().as_secs();
    eprintln!("faults: {id} took {seconds} s: lost {lost}, doubled {doubled}, physical duplicates {physical}");
    Ok((id, row))
}

/// What was asked for, in the order of the table.
fn chosen(only: &[String]) -> Result<Vec<&'static str>> {
    let known = || FAULTS.into_iter().chain(CONTROLS);
    let asked: BTreeSet<&str> = only.iter().map(|id| id.trim()).collect();
    let stranger = asked.iter().find(|id| **id != "controls" && !known().any(|name| name.eq_ignore_ascii_case(id)));
    if let Some(stranger) = stranger {
        bail!("there is no fault {stranger}; there are {}", known().collect::<Vec<_>>().join(", "));
    }
    let wanted = |id: &&str| {
        let named = asked.iter().any(|name| name.eq_ignore_ascii_case(id));
        asked.is_empty() || named || (asked.contains("controls") && CONTROLS.contains(id))
    };
    Ok(known().filter(wanted).collect())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(report) => {
            match arguments.format {
                Format::Text => print!("{report}"),
                Format::Json => println!("{}", report.to_json()),
            }
            if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Report> {
    let ids = chosen(&arguments.only)?;
    if !arguments.no_build {
        build::services()?;
    }
    build::faulty_sink()?;
    let seed = arguments.seed.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond().unsigned_abs());
    eprintln!("faults: seed {seed}; starting Kafka and ClickHouse");
    let world = World::start(seed, arguments.rounds).await?;
    // One alone beside nobody gains nothing.
    let beside = |id: &&str| arguments.at_once > 1 && APART.contains(id);
    let (apart, alone): (Vec<&str>, Vec<&str>) = ids.iter().partition(|id| beside(id));
    let mut rows: Vec<(&str, Row)> = stream::iter(apart)
        .map(|id| timed(&world, id))
        .buffer_unordered(arguments.at_once.max(1))
        .try_collect()
        .await?;
    for id in alone {
        rows.push(timed(&world, id).await?);
    }
    rows.sort_by_key(|(id, _)| ids.iter().position(|asked| asked == id));
    let mut report = Report { seed, ..Report::default() };
    for (id, row) in rows {
        if CONTROLS.contains(&id) { report.controls.push(row) } else { report.faults.push(row) }
    }
    world.stack.stop().await;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_keeps_the_order_of_the_table_and_refuses_strangers() {
        let ids = |text: &str| chosen(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(ids("rollup,f6,F1").unwrap(), ["F1", "F6", "rollup"]);
        assert_eq!(ids("controls").unwrap(), CONTROLS);
        assert_eq!(chosen(&[]).unwrap().len(), FAULTS.len() + CONTROLS.len());
        assert!(ids("F99").unwrap_err().to_string().contains("F99"));
    }
}

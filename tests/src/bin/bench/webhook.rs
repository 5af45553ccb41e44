//! Signed call events over HTTP: first as fast as they go, then at a steady rate until each can be queried.

use crate::figures::{Figures, Percentiles, between, usage};
use anyhow::{Context, Result};
use futures::future::try_join_all;
use outcry_sandbox::Stack;
use outcry_tests::{Pipeline, difference, machine, phone::PhoneFront};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Of `bench webhook`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long each of the two parts lasts.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Connections that post at the same time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Events a second of the second part.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
}

/// When each event was sent, and how long its 2xx took.
type Sent = Vec<(u32, Instant, Duration)>;

/// Measures.
pub async fn run(stack: &Stack, options: &Options) -> Result<Figures> {
    let front = PhoneFront::new()?;
    let mut pipeline = Pipeline::prepare_for_benchmark(stack, &front.sections()).await?;
    pipeline.start(&["outcry-phone-connector", "outcry-classifier", "outcry-sink"]).await?;
    let load_before = machine::load();
    let used_before = usage(stack, &pipeline)?;
    let begun = Instant::now();
    let span = Duration::from_secs(options.seconds);

    eprintln!("bench: posting over {} connections as fast as they go", options.connections);
    let next = Arc::new(AtomicU32::new(1));
    let fast = post(&front, options.connections, next.clone(), span, None).await?;
    let fast_for = begun.elapsed();
    let all_stored = "SELECT uniqExact(item_id) FROM {db}.stored_items";
    pipeline.wait_for(all_stored, fast.len() as u64, Duration::from_secs(300)).await?;

    eprintln!("bench: posting {} a second", options.rate);
    let first = next.load(Ordering::Relaxed);
    let pace = Some(Duration::from_secs(1) / options.rate.max(1));
    let posting = post(&front, options.connections, next, span, pace);
    let watching = watch(&pipeline, first, span + Duration::from_secs(60), options.rate);
    let (steady, seen) = tokio::try_join!(posting, watching)?;

    let ledger: BTreeSet<String> = fast.iter().chain(&steady).map(|(number, ..)| number.to_string()).collect();
    pipeline.wait_for(all_stored, ledger.len() as u64, Duration::from_secs(60)).await?;
    let elapsed = begun.elapsed();
    let processes = between(&used_before, usage(stack, &pipeline)?);
    let view = pipeline.ask_as("migrator", "SELECT toString(call_sequence) FROM {db}.items").await?;
    let found = difference(&ledger, view);
    let queryable = steady.iter().filter_map(|(number, at, _)| Some(seen.get(number)?.duration_since(*at)));
    Ok(Figures {
        items: ledger.len() as u64,
        elapsed,
        lost: found.lost.len() as u64,
        doubled: found.doubled.len() as u64,
        physical_duplicates: pipeline.physical_duplicates().await?,
        processes,
        requests_per_second: Some(fast.len() as f64 / fast_for.as_secs_f64()),
        answered: Percentiles::of(fast.iter().map(|(.., took)| *took).collect()),
        queryable: Percentiles::of(queryable.collect()),
        load: [load_before, machine::load()],
    })
}

/// Posts from many connections for `span`; with a `pace`, one event each that long, however slow the answers are.
async fn post(
    front: &PhoneFront,
    connections: usize,
    next: Arc<AtomicU32>,
    span: Duration,
    pace: Option<Duration>,
) -> Result<Sent> {
    let begun = Instant::now();
    let first = next.load(Ordering::Relaxed);
    let tasks = (0..connections).map(|_| {
        let (front, next) = (front.clone(), next.clone());
        tokio::spawn(async move {
            let mut sent = Sent::new();
            while begun.elapsed() < span {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if let Some(pace) = pace {
                    tokio::time::sleep_until((begun + pace * (number - first)).into()).await;
                }
                let at = Instant::now();
                let status = front.post_numbered(number).await?;
                if (200..300).contains(&status) {
                    sent.push((number, at, at.elapsed()));
                }
            }
            anyhow::Ok(sent)
        })
    });
    let all = try_join_all(tasks).await.context("a task that posts")?;
    Ok(all.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// When a query first found each event, to within the pause between two queries.
async fn watch(pipeline: &Pipeline<'_>, first: u32, patience: Duration, rate: u32) -> Result<HashMap<u32, Instant>> {
    let begun = Instant::now();
    let mut seen = HashMap::new();
    let mut quiet_since = Instant::now();
    let mut floor = first;
    while begun.elapsed() < patience {
        let question =
            format!("SELECT toString(call_sequence) FROM {{db}}.stored_items WHERE call_sequence >= {floor}");
        let found = pipeline.ask_as("migrator", &question).await?;
        let now = Instant::now();
        for number in found.iter().filter_map(|number| number.parse::<u32>().ok()) {
            if seen.insert(number, now).is_none() {
                quiet_since = now;
            }
        }
        while seen.contains_key(&floor) {
            floor += 1;
        }
        // Nothing new for five seconds: what was sent has arrived.
        if quiet_since.elapsed() > Duration::from_secs(5) && seen.len() as u32 > rate {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(seen)
}

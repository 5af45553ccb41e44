//! Raw topic preloaded, then classifier and sink: how long until every item can be queried.

use crate::figures::{Figures, between, usage};
use anyhow::{Context, Result};
use outcry_sandbox::Stack;
use outcry_tests::{Binary, Generator, Pipeline, difference, machine};
use std::time::{Duration, Instant};

/// Of `bench pipeline`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Items of 1 kB in the raw topic.
    #[arg(long, default_value_t = 200_000)]
    items: u64,
    /// Give up when not all can be queried after this many seconds.
    #[arg(long, default_value_t = 600)]
    patience_seconds: u64,
}

/// Measures.
pub async fn run(stack: &Stack, options: &Options) -> Result<Figures> {
    let mut pipeline = Pipeline::prepare_for_benchmark(stack, "").await?;
    eprintln!("bench: preloading {} items", options.items);
    let ledger = pipeline.publish_items(&Generator::new("acme", 1), 0..options.items).await?;
    let load_before = machine::load();
    let used_before = usage(stack, &pipeline)?;
    eprintln!("bench: starting the classifier and the sink");
    let begun = Instant::now();
    pipeline.launch("outcry-classifier")?;
    pipeline.launch("outcry-sink")?;
    if let Err(error) = wait(&pipeline, options, begun).await {
        eprintln!("{}", pipeline.last_words().await);
        return Err(error);
    }
    let elapsed = begun.elapsed();
    let processes = between(&used_before, usage(stack, &pipeline)?);
    eprintln!("bench: comparing the ledger with the view");
    let view = pipeline.ask_as("migrator", "SELECT toString(item_id) FROM {db}.items").await?;
    let found = difference(&ledger, view);
    Ok(Figures {
        items: ledger.len() as u64,
        elapsed,
        lost: found.lost.len() as u64,
        doubled: found.doubled.len() as u64,
        physical_duplicates: pipeline.physical_duplicates().await?,
        processes,
        load: [load_before, machine::load()],
        ..Figures::default()
    })
}

async fn wait(pipeline: &Pipeline<'_>, options: &Options, begun: Instant) -> Result<()> {
    let patience = Duration::from_secs(options.patience_seconds);
    let mut shown = Instant::now();
    // Counting rows reads no column. A repeated row would end this early, and the comparison would then say so.
    loop {
        let stored = pipeline.number("SELECT count() FROM {db}.stored_items").await?;
        if stored >= options.items {
            return Ok(());
        }
        if shown.elapsed() > Duration::from_secs(2) {
            eprintln!("bench: {stored} of {} after {:.0} s", options.items, begun.elapsed().as_secs_f64());
            shown = Instant::now();
        }
        pipeline.services().try_for_each(Binary::check_runs)?;
        let over = || format!("only {stored} of {} items after {} s", options.items, options.patience_seconds);
        (begun.elapsed() < patience).then_some(()).with_context(over)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

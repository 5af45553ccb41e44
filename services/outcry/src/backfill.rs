//! `outcry backfill SOURCE --since DATE`: the past of a source, read once.

use crate::{
    cli::{ConfigFiles, WrongUsage},
    configs,
};
use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use outcry_email_connector::Config;
use outcry_runtime::{CancellationToken, Context, until_signal};
use std::{sync::Arc, time::Instant};

/// `outcry backfill`.
#[derive(Debug, Args)]
pub struct BackfillArguments {
    /// The mailbox, as email:NAME.
    pub source: String,
    /// From this day on (2026-01-31), by when the server received it.
    #[arg(long, value_name = "DATE")]
    pub since: jiff::civil::Date,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFiles,
}

/// Reads it; may be interrupted, and goes on where it was left off.
pub async fn run(arguments: &BackfillArguments) -> anyhow::Result<()> {
    let Some(name) = arguments.source.strip_prefix("email:") else {
        let problem = format!("{:?} cannot be read from the past; give a mailbox as email:NAME", arguments.source);
        return Err(WrongUsage(problem).into());
    };
    let files = configs::files(&arguments.config, &["pipeline.toml"]);
    let config: Config = configs::service("email-connector", &files)?;
    let context = Context::new(CancellationToken::new());
    let stop = context.shutdown.clone();
    tokio::spawn(async move {
        if until_signal().await.is_ok() {
            stop.cancel();
        }
    });
    // Draws on standard error if that is a terminal, else nothing.
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template(
        "{spinner} {msg} {bar:30} {human_pos} of {human_len} mails, {per_sec}, {eta} left",
    );
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let shown = bar.clone();
    let report = move |folder: &str, done: u64, of: u64| {
        if shown.message() != folder {
            shown.set_message(folder.to_owned());
            shown.reset();
        }
        shown.set_length(of);
        shown.set_position(done);
    };
    let begun = Instant::now();
    let outcome = outcry_email_connector::backfill(&config, name, arguments.since, &context, Arc::new(report)).await;
    bar.finish_and_clear();
    let read = outcome.with_context(|| {
        format!("reading the past of {}; the same command goes on where this one was left off", arguments.source)
    })?;
    eprintln!("{} mails in {:.1} s", read.mails, begun.elapsed().as_secs_f64());
    if read.missing > 0 {
        eprintln!("{} could not be had: see `outcry dead-letters list` and `outcry gaps`", read.missing);
    }
    if !read.complete {
        bail!("interrupted; the same command goes on where this one was left off");
    }
    Ok(())
}

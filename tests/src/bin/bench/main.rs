//! Speed and size, measured on the real binaries with a real Kafka and a real ClickHouse on this machine.
//!
//! `cargo run --release -p outcry-tests --bin bench -- pipeline --items 200000 [--format json]`. CPU-seconds for each million
//! items stand beside the rate, because a busy machine changes the second and hardly the first.

mod cdr;
mod figures;
mod pipeline;
mod readback;
mod webhook;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use figures::Figures;
use outcry_sandbox::{KafkaOptions, Stack, StackOptions};
use outcry_tests::binary;
use std::process::ExitCode;

/// Benchmarks of Outcry's binaries.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// How to print the figures.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Use the binaries as they are instead of building them first.
    #[arg(long, global = true)]
    no_build: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What is measured.
#[derive(Debug, Subcommand)]
enum What {
    /// Raw topic preloaded, classifier and sink started: time until every item can be queried.
    Pipeline(pipeline::Options),
    /// A CDR file followed by the phone connector: rows a second, and CPU time for each million.
    Cdr(cdr::Options),
    /// Signed call events over HTTP: the rate of durable answers, and the time until an event can be queried.
    Webhook(webhook::Options),
    /// A table filled in the server: the time a sink takes to read back which rows of a batch are stored.
    Readback(readback::Options),
}

impl What {
    /// Packages whose binaries are started.
    fn packages(&self) -> &'static [&'static str] {
        match self {
            Self::Pipeline(_) => &["outcry-sandbox", "outcry-classifier", "outcry-sink"],
            Self::Cdr(_) => &["outcry-sandbox", "outcry-phone-connector"],
            Self::Webhook(_) => &["outcry-sandbox", "outcry-phone-connector", "outcry-classifier", "outcry-sink"],
            Self::Readback(_) => &["outcry-sandbox"],
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(outcome) => {
            match (arguments.format, &outcome) {
                (Format::Text, Outcome::Figures(figures)) => print!("{figures}"),
                (Format::Json, Outcome::Figures(figures)) => println!("{}", figures.to_json()),
                (Format::Text, Outcome::Readback(readback)) => print!("{readback}"),
                (Format::Json, Outcome::Readback(readback)) => println!("{}", readback.to_json()),
            }
            if outcome.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was measured.
enum Outcome {
    Figures(Box<Figures>),
    Readback(readback::Readback),
}

impl Outcome {
    fn holds(&self) -> bool {
        match self {
            Self::Figures(figures) => figures.lost == 0 && figures.doubled == 0,
            Self::Readback(_) => true,
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Outcome> {
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its figures say nothing. Use cargo run --release");
    }
    if !arguments.no_build {
        binary::build(arguments.what.packages())?;
    }
    eprintln!("bench: starting Kafka and ClickHouse");
    // As in production: the broker's code is compiled fully, at the price of a slower start.
    let kafka = KafkaOptions { fast_start: false, ..KafkaOptions::default() };
    let stack = Stack::start(StackOptions { kafka, ..StackOptions::default() }).await?;
    let of_figures = |figures| Outcome::Figures(Box::new(figures));
    let outcome = match &arguments.what {
        What::Pipeline(options) => pipeline::run(&stack, options).await.map(of_figures),
        What::Cdr(options) => cdr::run(&stack, options).await.map(of_figures),
        What::Webhook(options) => webhook::run(&stack, options).await.map(of_figures),
        What::Readback(options) => readback::run(&stack, options).await.map(Outcome::Readback),
    };
    stack.stop().await;
    outcome
}

//! Speed and size, measured on the real binaries with a real Kafka and a real ClickHouse on this machine.
//!
//! `cargo run --release -p outcry-tests --bin bench -- pipeline --items 200000 [--format json]`. CPU-seconds for each million
//! items stand beside the rate, because a busy machine changes the second and hardly the first.

mod cdr;
mod classify;
mod email;
mod figures;
mod pipeline;
mod readback;
mod webhook;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use email::EmailFigures;
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
    /// Models trained on labelled data: accuracy, CPU time and speed, beside fastText and scikit-learn in the same run. Needs
    /// no servers.
    Classify(classify::Options),
    /// A CDR file followed by the phone connector: rows a second, and CPU time for each million.
    Cdr(cdr::Options),
    /// Signed call events over HTTP: the rate of durable answers, and the time until an event can be queried.
    Webhook(webhook::Options),
    /// A table filled in the server: the time a sink takes to read back which rows of a batch are stored.
    Readback(readback::Options),
    /// Mail: parsing, reading a mailbox, memory under a large mail, and the time until a new one is in Kafka.
    Email(email::Options),
}

impl What {
    /// Packages whose binaries are started.
    fn packages(&self) -> &'static [&'static str] {
        match self {
            Self::Pipeline(_) => &["outcry-sandbox", "outcry-classifier", "outcry-sink"],
            Self::Classify(_) => &[],
            Self::Cdr(_) => &["outcry-sandbox", "outcry-phone-connector"],
            Self::Email(_) => &["outcry-sandbox", "outcry-email-connector"],
            Self::Webhook(_) => &["outcry-sandbox", "outcry-phone-connector", "outcry-classifier", "outcry-sink"],
            Self::Readback(_) => &["outcry-sandbox"],
        }
    }
}

/// What came of it.
enum Measured {
    Figures(Box<Figures>),
    Readback(readback::Readback),
    Email(EmailFigures),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let What::Classify(options) = &arguments.what {
        return match classify::run(options, arguments.format == Format::Json) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let measured = match run(&arguments).await {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("bench: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match (&measured, arguments.format) {
        (Measured::Figures(figures), Format::Text) => print!("{figures}"),
        (Measured::Figures(figures), Format::Json) => println!("{}", figures.to_json()),
        (Measured::Readback(readback), Format::Text) => print!("{readback}"),
        (Measured::Readback(readback), Format::Json) => println!("{}", readback.to_json()),
        (Measured::Email(figures), Format::Text) => print!("{figures}"),
        (Measured::Email(figures), Format::Json) => println!("{}", figures.to_json()),
    }
    match measured {
        Measured::Figures(figures) if figures.lost > 0 || figures.doubled > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

async fn run(arguments: &Arguments) -> Result<Measured> {
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its figures say nothing. Use cargo run --release");
    }
    if !arguments.no_build {
        binary::build(arguments.what.packages())?;
    }
    eprintln!("bench: starting Kafka and ClickHouse");
    // As in production: the broker's code is compiled fully, at the price of a slower start.
    let kafka = KafkaOptions { fast_start: false, ..KafkaOptions::default() };
    let mut servers = StackOptions { kafka, ..StackOptions::default() };
    if matches!(arguments.what, What::Email(_)) {
        servers = servers.with_dovecot();
    }
    let stack = Stack::start(servers).await?;
    let of_figures = |figures| Measured::Figures(Box::new(figures));
    let measured = match &arguments.what {
        What::Pipeline(options) => pipeline::run(&stack, options).await.map(of_figures),
        What::Cdr(options) => cdr::run(&stack, options).await.map(of_figures),
        What::Webhook(options) => webhook::run(&stack, options).await.map(of_figures),
        // Needs no servers: it never comes here.
        What::Classify(_) => Ok(of_figures(Figures::default())),
        What::Readback(options) => readback::run(&stack, options).await.map(Measured::Readback),
        What::Email(options) => email::run(&stack, options).await.map(Measured::Email),
    };
    stack.stop().await;
    measured
}

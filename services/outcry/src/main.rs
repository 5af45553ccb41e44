//! `outcry`: the operator's command.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. JSON output is one document on standard output; everything else goes to
//! standard error.

mod backfill;
mod check;
mod classify;
mod cli;
mod configs;
mod dead_letters;
mod demo;
mod evaluate;
mod labelled;
mod local;
mod migrate;
mod parse_email;
mod progress;
mod query;
mod reclassify;
mod reread;
mod sample;
mod services;
mod train;
mod up;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    // Hosts ClickHouse in this very process: nothing of ours may start before it.
    if let cli::Command::ClickhouseServer { arguments } = arguments.command {
        return finish(outcry_sandbox::clickhouse_server::serve(arguments).map_err(anyhow::Error::from));
    }
    cli::start_logging(&arguments.command);
    outcry_runtime::install_crypto_provider();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(cli::carry_out(arguments.command));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            finish(outcome)
        }
        Err(error) => finish(Err(anyhow::Error::from(error).context("starting the async runtime"))),
    }
}

fn finish(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    eprintln!("outcry: {error:#}");
    if error.downcast_ref::<cli::WrongUsage>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

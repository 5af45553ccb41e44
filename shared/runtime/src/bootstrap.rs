//! One bootstrap for all binaries.

use crate::{CancellationToken, Context, config, install_exporter, serve_health, start_logging};
use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde::de::DeserializeOwned;
use std::{future::Future, path::PathBuf, process::ExitCode, time::Duration};

/// How long a service may drain after SIGTERM. Compose and Kubernetes must grant more before they kill.
pub const SHUTDOWN_BUDGET: Duration = Duration::from_secs(25);

/// A service's configuration: which sections of the file are its own, and what must hold between them.
pub trait ServiceConfig: DeserializeOwned + Send + 'static {
    /// Sections of the configuration file that this service reads; it ignores the others.
    const SECTIONS: &'static [&'static str];

    /// Where health and metrics are served.
    fn http(&self) -> config::Http;

    /// What is wrong, in words, where types cannot tell.
    fn validate(&self) -> Result<(), Vec<String>> {
        Ok(())
    }
}

/// Arguments of every service.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Configuration file (TOML); later ones override earlier ones, OUTCRY_SECTION__KEY overrides all.
    #[arg(long = "config", value_name = "FILE", env = "OUTCRY_CONFIG", value_delimiter = ':')]
    pub config: Vec<PathBuf>,
    /// How to write the log to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "OUTCRY_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// How log events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Makes rustls use ring, once for the process.
pub fn install_crypto_provider() {
    // An error says that a provider stands already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Resolves on SIGTERM or SIGINT.
pub async fn until_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A service from its arguments to its exit code: 0 done, 1 failed, 2 wrong usage or configuration.
pub fn main<C, F, R>(service: &'static str, run: F) -> ExitCode
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> R,
    R: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let arguments = Arguments::parse();
    start_logging(arguments.log_format);
    install_crypto_provider();
    let config = match load_valid::<C>(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(service, error = format!("{error:#}"), "configuration refused");
            eprintln!("{service}: {error:#}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{service}: starting the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(supervise(service, config, run));
    // Whatever still blocks a thread has had its budget.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(service, error = format!("{error:#}"), "stopped by an error");
            ExitCode::FAILURE
        }
    }
}

fn load_valid<C: ServiceConfig>(files: &[PathBuf]) -> anyhow::Result<C> {
    let config = config::load::<C>(files, C::SECTIONS)?;
    config
        .validate()
        .map_err(|problems| anyhow::anyhow!("the configuration does not hold together: {}", problems.join("; ")))?;
    Ok(config)
}

async fn supervise<C, F, R>(service: &'static str, config: C, run: F) -> anyhow::Result<()>
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> R,
    R: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let context = Context::new(CancellationToken::new());
    let server_stop = CancellationToken::new();
    let listen = config.http().metrics_listen;
    let address = serve_health(&listen, &context, install_exporter()?, server_stop.clone()).await?;
    tracing::info!(service, version = env!("CARGO_PKG_VERSION"), %address, "started");
    let mut work = tokio::spawn(run(config, context.clone()));
    let ended_early = tokio::select! {
        ended = &mut work => Some(ended),
        signal = until_signal() => {
            signal.context("listening for signals")?;
            None
        }
    };
    let outcome = match ended_early {
        Some(ended) => ended.context("the service's main task").flatten(),
        None => {
            tracing::info!(service, budget_seconds = SHUTDOWN_BUDGET.as_secs(), "stopping");
            context.shutdown.cancel();
            match tokio::time::timeout(SHUTDOWN_BUDGET, work).await {
                Ok(ended) => ended.context("the service's main task").flatten(),
                Err(_) => Err(anyhow::anyhow!(
                    "did not drain within {} s and was stopped; what was not acknowledged will be read again",
                    SHUTDOWN_BUDGET.as_secs()
                )),
            }
        }
    };
    server_stop.cancel();
    if outcome.is_ok() {
        tracing::info!(service, "stopped");
    }
    outcome
}

//! What every Outcry service is started with: layered configuration, logs, metrics, health, signals, retries, a clock.
//!
//! A service's `main` is one line: [`main`] parses the arguments, loads the configuration, opens `/health/live`,
//! `/health/ready` and `/metrics`, runs the service until SIGTERM or SIGINT, and gives it [`SHUTDOWN_BUDGET`] to drain.

/// Millions of short strings a minute: glibc's allocator took an eighth of the classifier's time (`bench pipeline` under
/// `perf`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod backoff;
mod bootstrap;
mod clock;
pub mod config;
mod context;
mod health;
mod server;
mod tracing_setup;

pub use backoff::Backoff;
pub use bootstrap::{
    Arguments, LogFormat, SHUTDOWN_BUDGET, ServiceConfig, install_crypto_provider, main, until_signal,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::Secret;
pub use context::Context;
pub use health::{Component, Health};
pub use server::{Exporter, install_exporter, serve_health};
pub use tokio_util::sync::CancellationToken;
pub use tracing_setup::{start_logging, start_logging_at};

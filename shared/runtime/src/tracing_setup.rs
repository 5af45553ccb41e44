//! Logs: one event a line on standard error, as text or JSON.

use crate::LogFormat;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging; `OUTCRY_LOG` filters, such as `info,outcry_sink=debug`. A second call changes nothing.
pub fn start_logging(format: LogFormat) {
    start_logging_at(format, "info,librdkafka=error");
}

/// [`start_logging`] with another filter where `OUTCRY_LOG` gives none.
pub fn start_logging_at(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_env("OUTCRY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    // An error says that a logger stands already, which is what we want.
    let _ = match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => registry.with(fmt::layer().with_ansi(false).with_writer(std::io::stderr)).try_init(),
    };
}

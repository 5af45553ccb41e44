//! The service's own small HTTP server: `/health/live`, `/health/ready`, `/metrics`.

use crate::{CancellationToken, Context};
use anyhow::Context as _;
use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{net::SocketAddr, sync::OnceLock, time::Duration};

/// Renders what was counted, in Prometheus' text format.
pub type Exporter = PrometheusHandle;

/// Seconds: the buckets of every histogram whose name ends in `_seconds`.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Installs the process's one metrics recorder; further calls give the same.
pub fn install_exporter() -> anyhow::Result<Exporter> {
    static EXPORTER: OnceLock<Exporter> = OnceLock::new();
    if let Some(exporter) = EXPORTER.get() {
        return Ok(exporter.clone());
    }
    let exporter = PrometheusBuilder::new()
        .set_buckets_for_metric(metrics_exporter_prometheus::Matcher::Suffix("_seconds".into()), &SECONDS)
        .context("setting the buckets of histograms")?
        .install_recorder()
        .context("installing the metrics recorder")?;
    Ok(EXPORTER.get_or_init(|| exporter).clone())
}

/// Serves health and metrics until `stop`; returns the address it listens on.
pub async fn serve_health(
    listen: &str,
    context: &Context,
    exporter: Exporter,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| {
        format!(
            "listening on {listen} for /health and /metrics: is it in use? Set http.metrics_listen to another address"
        )
    })?;
    let address = listener.local_addr().context("reading the address of the metrics listener")?;
    let upkeep = exporter.clone();
    let context = context.clone();
    let application = Router::new()
        .route("/health/live", get(|| async { "alive\n" }))
        .route("/health/ready", get(move || ready(context.clone())))
        .route("/metrics", get(move || async move { exporter.render() }));
    let server = axum::serve(listener, application).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the health and metrics server ended");
        }
    });
    // Histograms are drained by this; without it they grow while nobody scrapes.
    tokio::spawn(async move {
        while tokio::time::timeout(Duration::from_secs(5), stop.cancelled()).await.is_err() {
            upkeep.run_upkeep();
        }
    });
    Ok(address)
}

async fn ready(context: Context) -> impl IntoResponse {
    let mut problems = context.health.problems();
    if context.shutdown.is_cancelled() {
        problems.insert("service".into(), "shutting down".into());
    }
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": problems.is_empty(), "not_ready": problems })))
}

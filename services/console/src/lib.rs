//! The page and HTTP API: what comes in, how fast we answer, and what people say about cases.
//!
//! It owns looking and posting: a live feed of `items.classified`, the warehouse's named reports as tables and JSON, and
//! `POST /api/case-events`, answered only when the broker has the event on disk. It refuses to compute: every number is a
//! report of the warehouse, the same one that `outcry query` prints.

pub mod auth;
pub mod case_event;
pub mod config;
mod error;
pub mod feed;
pub mod metrics;
pub mod pages;
mod query;
mod routes;

pub use config::Config;
pub use routes::{App, router};

use anyhow::Context as _;
use feed::{Entry, Feed};
use outcry_domain::{ClassifiedItem, classification::RECLASSIFIED_HEADER};
use outcry_kafka::{Outcome, Publisher, Topic, for_each_record};
use outcry_runtime::Context;
use outcry_warehouse::Warehouse;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

const NAME: &str = "console";
const FLUSH_BUDGET: Duration = Duration::from_secs(10);

/// Serves until `context.shutdown`.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    outcry_runtime::install_crypto_provider();
    let listen = &config.console.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listening on {listen} (console.listen); is the port taken?"))?;
    serve(listener, config, context).await
}

/// [`run`] on a listener that is open already.
pub async fn serve(listener: TcpListener, config: Config, context: Context) -> anyhow::Result<()> {
    // The page and the feed end together, and neither ends anything else that shares the process.
    let context = Context { shutdown: context.shutdown.child_token(), ..context };
    let component = context.health.component("console");
    let publisher = Publisher::new(&config.kafka, NAME)?;
    let feed = Feed::default();
    let app = App::new(&config, Warehouse::connect(&config.clickhouse)?, publisher.clone(), feed.clone(), &context);
    let address = listener.local_addr()?;
    tracing::info!(%address, "the console is open");
    component.ready();
    let shutdown = context.shutdown.clone();
    let serving = axum::serve(listener, router(Arc::new(app)))
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .into_future();
    let handler = move |record: outcry_kafka::Record| {
        let feed = feed.clone();
        // Other labels of an old item are no news.
        let is_news = record.header(RECLASSIFIED_HEADER).is_none();
        async move { if is_news { show(&feed, &record.payload) } else { Outcome::Skip } }
    };
    let feeding = async {
        let fed = for_each_record(&config.kafka, NAME, &[Topic::ItemsClassified], &publisher, &context, handler).await;
        context.shutdown.cancel();
        fed
    };
    let (served, fed) = tokio::join!(serving, feeding);
    publisher.flush(FLUSH_BUDGET).await;
    served?;
    fed
}

/// What cannot be shown is passed: the sink puts it into dead letters, and a feed is no place to stop for it.
fn show(feed: &Feed, payload: &[u8]) -> Outcome {
    match serde_json::from_slice::<ClassifiedItem>(payload) {
        Ok(classified) if classified.item.version_is_known() => {
            feed.show(Entry::new(&classified));
            ::metrics::counter!(metrics::FEED_ITEMS).increment(1);
            Outcome::Done
        }
        _ => Outcome::Skip,
    }
}

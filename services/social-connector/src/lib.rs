//! Mentions of a brand on social networks, and the brand's own replies, as items.
//!
//! It owns reading: listing what a network has, in order and without gaps, and saying how much of it was produced
//! ([`outcry_domain::Coverage`]). It keeps no state of its own: where it stands is a checkpoint, saved only after the
//! broker has acknowledged the items of a page, so a crash repeats items and loses none. It refuses to judge: what a
//! post means is the classifier's business, and counting is a fold in ClickHouse.
//!
//! One task per configured account; an account that fails waits and tries again without holding up the others.

pub mod config;
pub mod error;
pub mod html;
pub mod mastodon;
pub mod metrics;

pub use config::Config;

use outcry_kafka::Publisher;
use outcry_runtime::Context;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// How long the broker may take to acknowledge what is still on its way when we stop.
const FLUSH_BUDGET: Duration = Duration::from_secs(10);

/// Reads every configured account until `context.shutdown`.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    outcry_runtime::install_crypto_provider();
    let publisher = Publisher::new(&config.kafka, "social-connector")?;
    let config = Arc::new(config);
    let mut accounts = JoinSet::new();
    for account in &config.social.accounts {
        let connector = mastodon::Connector::new(&config, account, &publisher, &context)?;
        accounts.spawn(connector.run());
    }
    if accounts.is_empty() {
        context.health.component("social").ready();
        tracing::info!("no [[social.accounts]] configured: nothing to read");
        context.shutdown.cancelled().await;
    }
    while let Some(ended) = accounts.join_next().await {
        ended?;
    }
    publisher.flush(FLUSH_BUDGET).await;
    Ok(())
}

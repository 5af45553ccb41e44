//! The phone connector: call events of any telephone provider or PBX, as items in `items.raw`.
//!
//! It owns the providers' formats and proofs ([`provider`]) and how a call event becomes an item ([`item`]). It keeps no calls:
//! a call is a fold over its items in ClickHouse, so a late, repeated or out-of-order event needs no special case. It
//! never fetches a recording. A webhook is answered with 2xx only when what it says is durable (`outcry-webhook`).

pub mod config;
mod follow;
pub mod item;
pub mod metrics;
pub mod number;
pub mod provider;
pub mod sweep;
mod tail;
mod time;
pub mod webhook;

pub use config::Config;

use anyhow::Context as _;
use outcry_kafka::Publisher;
use outcry_runtime::Context;
use outcry_webhook::{Durable, DurableSettings, Limits, Server, spool::Spool};
use std::{sync::Arc, time::Duration};
use sweep::Sweep;
use tokio::task::JoinSet;
use webhook::CallDoor;

/// Serves until shutdown, then lets every request that has begun finish.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let health = context.health.component("webhooks");
    let publisher = Publisher::new(&config.kafka, "phone-connector")?;
    let spool = Spool::open(&config.phone.spool_dir, config.phone.spool_max_bytes)?;
    let durable = Durable::start(publisher.clone(), spool, DurableSettings::default(), &context);
    let door = Arc::new(CallDoor::open(&config, durable, context.clock.clone())?);
    let server = Server::bind(&config.phone.listen, Limits::default()).await.context("opening [phone] listen")?;
    let (address, accounts) = (server.address(), config.phone.accounts.len());
    tracing::info!(%address, public_url = config.phone.public_url, accounts, "webhooks are received");
    health.ready();
    let mut followers = JoinSet::new();
    for account in &config.phone.accounts {
        if let Some(sweep) = Sweep::open(&config, account, door.told(&account.name))? {
            followers.spawn(sweep.run(config.clone(), publisher.clone(), context.clone()));
        }
    }
    for account in &config.phone.accounts {
        if let Some(file) = &account.cdr_file {
            let (account, file) = (account.clone(), file.clone());
            followers.spawn(follow::follow(config.clone(), account, file, publisher.clone(), context.clone()));
        }
    }
    server.run(door, &context).await;
    health.not_ready("stopping");
    followers.join_all().await;
    // Every webhook has its answer; what is still queued was given to the spool as well.
    publisher.flush(Duration::from_secs(2)).await;
    Ok(())
}

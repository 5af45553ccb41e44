//! Mastodon, and every server with its API.
//!
//! One pass reads two listings forward to their ends: who mentions the brand, and what the brand writes. They are read in
//! the order of the conversation, so that a post is known before its answer and thousands cost no extra request. A page
//! counts as read when the broker has acknowledged all of it; only then is its checkpoint saved. After a pass a few recent
//! posts are asked for again, for edits and deletions.

pub mod api;
pub mod client;
pub mod feed;
pub mod map;
mod pass;
pub mod recent;
mod recheck;
pub mod thread;

use crate::{
    config::{Account, Config, Social},
    error::PassError,
    metrics,
};
use client::Client;
use feed::{Listing, Position};
use map::Reader;
use outcry_kafka::{Checkpoints, KafkaConfig, Publisher};
use outcry_runtime::{Backoff, CancellationToken, Component, Context};
use recent::Recent;
use std::time::Duration;
use thread::Threads;
use tokio::time::Instant;

/// Posts remembered so that their answers find them: about 6 MB.
const REMEMBERED_POSTS: usize = 20_000;
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// A page on its way to the broker may still arrive; one that does not is read again after the restart.
const STOPPING_BUDGET: Duration = Duration::from_secs(8);

/// Reads one account.
pub struct Connector {
    reader: Reader,
    base_url: String,
    client: Client,
    kafka: KafkaConfig,
    publisher: Publisher,
    context: Context,
    component: Component,
    settings: Social,
    threads: Threads,
    opened: Option<Opened>,
    recheck_at: Instant,
}

/// What is known once the server and the broker have answered.
struct Opened {
    own_account: String,
    checkpoints: Checkpoints,
    positions: [Position; 2],
    /// When coverage of each listing was last published.
    reported_at: [Option<Instant>; 2],
    recent: Recent,
}

const RECENT_KEY: &str = "recent";
const LISTINGS: [Listing; 2] = [Listing::Notifications, Listing::Statuses];

impl Connector {
    /// Nothing is asked before [`Connector::run`].
    pub fn new(config: &Config, account: &Account, publisher: &Publisher, context: &Context) -> anyhow::Result<Self> {
        let source = account.source();
        Ok(Self {
            client: Client::new(&account.base_url, account.token.clone(), source.clone(), context.clone())?,
            reader: Reader {
                brand: account.brand.clone(),
                source: source.clone(),
                key: config.identity.customer_key(),
            },
            base_url: account.base_url.clone(),
            kafka: config.kafka.clone(),
            publisher: publisher.clone(),
            component: context.health.component(&source),
            context: context.clone(),
            settings: Social { accounts: Vec::new(), ..config.social.clone() },
            threads: Threads::new(REMEMBERED_POSTS),
            opened: None,
            recheck_at: Instant::now(),
        })
    }

    /// Reads until shutdown; whatever fails is tried again from the checkpoint.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() {
            let turn = tokio::select! {
                turn = self.turn() => turn,
                () = past(&shutdown, STOPPING_BUDGET) => break,
            };
            let wait = match turn {
                Ok(()) => {
                    self.component.ready();
                    backoff.reset();
                    self.settings.poll_interval()
                }
                Err(PassError::Stopping) => break,
                Err(error) => {
                    self.note_failure(&error);
                    backoff.next_delay().max(error.least_wait(self.context.clock.now()))
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => break,
            }
        }
    }

    fn note_failure(&self, error: &PassError) {
        let source = self.reader.source.clone();
        tracing::warn!(source.name = source, %error, "reading an account failed");
        ::metrics::counter!(metrics::FAILED_PASSES, "source" => source, "reason" => error.metric_label()).increment(1);
        self.component.not_ready(error.to_string());
    }

    async fn turn(&mut self) -> Result<(), PassError> {
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open().await?,
        };
        let result = self.pass_and_recheck(&mut opened).await;
        self.opened = Some(opened);
        result
    }

    async fn pass_and_recheck(&mut self, opened: &mut Opened) -> Result<(), PassError> {
        self.pass(opened).await?;
        let now = self.context.clock.now();
        ::metrics::gauge!(metrics::LAST_PASS, "source" => self.reader.source.clone())
            .set(now.as_millis() as f64 / 1000.0);
        if let Some(interval) = self.settings.recheck_interval()
            && Instant::now() >= self.recheck_at
        {
            self.recheck(opened).await?;
            self.recheck_at = Instant::now() + interval;
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<Opened, PassError> {
        let own = self.client.verify_credentials().await?;
        let checkpoints = Checkpoints::open(&self.kafka, &self.publisher, &self.reader.source).await?;
        let positions = LISTINGS.map(|listing| checkpoints.get(listing.name()).unwrap_or_default());
        let recent = checkpoints.get(RECENT_KEY).unwrap_or_default();
        tracing::info!(source.name = self.reader.source, "reading");
        Ok(Opened { own_account: own.id, checkpoints, positions, reported_at: [None; 2], recent })
    }
}

async fn past(shutdown: &CancellationToken, budget: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(budget).await;
}

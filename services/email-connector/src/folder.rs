//! One folder: connect, read to the end, wait, and again, until told to stop.
//!
//! The order is what makes it safe. What the server lists is compared with what it delivers; what it delivers is with
//! the broker before the checkpoint moves; and the folder is looked at once more before we wait. A failure at any point
//! repeats mails, and their ids make that harmless.

mod pass;

use crate::{
    authenticate::TokenCache,
    checkpoint::Checkpoint,
    config::MailboxConfig,
    connect,
    error::ImapError,
    imap::{Connection, Waited},
    metrics,
    parse::FolderKind,
    produce::Producer,
    tls,
};
use outcry_domain::{Brand, CustomerKey};
use outcry_kafka::Checkpoints;
use outcry_runtime::{Backoff, Component, Context};
use rustls::ClientConfig;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// IDLE is renewed after this long: servers may log us off at 29 minutes, and NATs forget sooner.
const IDLE_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// How long a read may go on after we were told to stop.
const STOP_BUDGET: Duration = Duration::from_secs(10);

/// A mailbox as its folders share it.
pub(crate) struct Mailbox {
    pub config: MailboxConfig,
    pub source: String,
    pub brand: Brand,
    pub key: CustomerKey,
    tls: Arc<ClientConfig>,
    tokens: TokenCache,
}

impl Mailbox {
    pub fn new(config: MailboxConfig, brand: Brand, key: CustomerKey) -> Result<Self, ImapError> {
        let tls = tls::client_config(&config)?;
        Ok(Self { source: config.source(), config, brand, key, tls, tokens: TokenCache::default() })
    }

    pub fn folders(&self) -> Vec<(String, FolderKind)> {
        let inbound = self.config.folders.iter().map(|name| (name.clone(), FolderKind::Inbound));
        inbound.chain(self.config.sent_folders.iter().map(|name| (name.clone(), FolderKind::Sent))).collect()
    }
}

/// The reader of one folder.
pub(crate) struct Folder {
    mailbox: Arc<Mailbox>,
    name: String,
    checkpoints: Arc<Checkpoints>,
    producer: Producer,
    context: Context,
    health: Component,
    checkpoint: Option<Checkpoint>,
    saved_at: Option<Instant>,
    swept_at: Option<Instant>,
    /// Up to this UID mails are asked for one by one: a connection broke among them.
    careful_until: u32,
    /// Failures of single mails.
    tries: HashMap<u32, u32>,
    /// What the next coverage record should say.
    note: Option<String>,
}

impl Folder {
    pub fn new(
        mailbox: Arc<Mailbox>,
        name: String,
        checkpoints: Arc<Checkpoints>,
        producer: Producer,
        context: Context,
    ) -> Self {
        let health = context.health.component(&format!("{}/{name}", mailbox.source));
        Self {
            mailbox,
            name,
            checkpoints,
            producer,
            context,
            health,
            checkpoint: None,
            saved_at: None,
            swept_at: None,
            careful_until: 0,
            tries: HashMap::new(),
            note: None,
        }
    }

    /// Reads until `shutdown`; connections come and go.
    pub async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        while !shutdown.is_cancelled() {
            let begun = Instant::now();
            let overdue = {
                let shutdown = shutdown.clone();
                async move {
                    shutdown.cancelled().await;
                    tokio::time::sleep(STOP_BUDGET).await;
                }
            };
            let outcome = tokio::select! {
                outcome = self.session() => outcome,
                () = overdue => return,
            };
            let Err(error) = outcome else { continue };
            if begun.elapsed() > Duration::from_secs(120) {
                backoff.reset();
            }
            self.tell_failure(&error);
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    fn tell_failure(&self, error: &ImapError) {
        let labels = [
            ("source", self.mailbox.source.clone()),
            ("folder", self.name.clone()),
            ("reason", error.metric_label().to_owned()),
        ];
        ::metrics::counter!(metrics::FAILURES, &labels).increment(1);
        self.health.not_ready(error.to_string());
        if error.needs_a_person() {
            tracing::error!(source = self.mailbox.source, folder = self.name, %error, "a mailbox cannot be read");
        } else {
            tracing::warn!(source = self.mailbox.source, folder = self.name, %error, "connection given up; connecting again");
        }
    }

    /// One connection, until it fails or we are told to stop.
    async fn session(&mut self) -> Result<(), ImapError> {
        let mut connection = connect::connect(&self.mailbox.config, &self.mailbox.tls, &self.mailbox.tokens).await?;
        self.open(&mut connection).await?;
        self.swept_at = None;
        loop {
            connection.forget_announcements();
            self.pass(&mut connection).await?;
            if self.context.shutdown.is_cancelled() {
                break;
            }
            if self.swept_at.is_none_or(|at| at.elapsed().as_secs() >= self.mailbox.config.sweep_interval_seconds) {
                self.sweep(&mut connection).await?;
                self.swept_at = Some(Instant::now());
            }
            self.health.ready();
            if connection.announced() {
                continue;
            }
            if self.wait(&mut connection).await? == Waited::Interrupted {
                break;
            }
        }
        connection.logout().await;
        Ok(())
    }

    /// Opens the folder, and decides whether the checkpoint is of this folder as it is now.
    async fn open(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        let selected = connection.examine(&self.name).await?;
        let saved = self.checkpoint.take().or_else(|| self.checkpoints.get::<Checkpoint>(&self.name));
        let checkpoint = match (selected.uidvalidity, saved) {
            (Some(uidvalidity), Some(saved)) if saved.uidvalidity == uidvalidity => saved,
            (Some(uidvalidity), Some(saved)) => {
                self.note = Some(format!(
                    "UIDVALIDITY changed from {} to {uidvalidity}: the folder was read again",
                    saved.uidvalidity
                ));
                tracing::warn!(
                    source = self.mailbox.source,
                    folder = self.name,
                    "UIDVALIDITY changed; reading the folder again"
                );
                saved.begun_again(uidvalidity, self.producer.now())
            }
            (Some(uidvalidity), None) => Checkpoint::fresh(uidvalidity),
            (None, _) => {
                self.note = Some("the server gives no UIDVALIDITY: the folder is read again at each connection".into());
                Checkpoint::fresh(0)
            }
        };
        self.checkpoint = Some(checkpoint);
        Ok(())
    }

    async fn wait(&self, connection: &mut Connection) -> Result<Waited, ImapError> {
        let config = &self.mailbox.config;
        let until_sweep = Duration::from_secs(config.sweep_interval_seconds);
        if config.idle && connection.can_idle() {
            match connection.idle(IDLE_AT_MOST.min(until_sweep), &self.context.shutdown).await {
                Err(error) if error.leaves_connection() => {}
                waited => return waited,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(config.poll_interval().min(until_sweep)) => {}
            () = self.context.shutdown.cancelled() => return Ok(Waited::Interrupted),
        }
        connection.noop().await?;
        Ok(Waited::TimedOut)
    }

    /// Saves the place, at most once a second unless it must be now.
    async fn save(&mut self, now: bool) -> Result<(), ImapError> {
        let Some(checkpoint) = &self.checkpoint else {
            return Ok(());
        };
        if now || self.saved_at.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            self.checkpoints.save(&self.name, checkpoint).await?;
            self.saved_at = Some(Instant::now());
        }
        Ok(())
    }
}

//! One folder: connect, read to the end, wait, and again, until told to stop.
//!
//! The order is what makes it safe. What the server lists is compared with what it delivers; what it delivers is with
//! the broker before the checkpoint moves; and the folder is looked at once more before we wait. A failure at any point
//! repeats mails, and their ids make that harmless.

mod pass;

pub(crate) use pass::Past;

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
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// IDLE is renewed after this long: servers may log us off at 29 minutes, and NATs forget sooner.
const IDLE_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// Connections of a backfill that may break in a row without getting any further.
const MAX_FAILURES: u32 = 8;

/// How long a read may go on after we were told to stop.
const STOP_BUDGET: Duration = Duration::from_secs(10);

/// A mailbox as its folders share it.
pub(crate) struct Mailbox {
    pub config: MailboxConfig,
    pub source: String,
    pub brand: Brand,
    pub key: CustomerKey,
    pub tls: Arc<ClientConfig>,
    pub tokens: TokenCache,
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
    /// Of the checkpoint.
    key: String,
    checkpoints: Arc<Checkpoints>,
    producer: Producer,
    context: Context,
    health: Component,
    checkpoint: Option<Checkpoint>,
    saved_at: Option<Instant>,
    swept_at: Option<Instant>,
    /// When gaps were asked for once more: not at each connection, for one of them may break it.
    gaps_tried_at: Option<Instant>,
    /// Where to wait for a turn, if folders share a connection.
    turns: Option<Arc<Semaphore>>,
    /// This is a backfill.
    past: Option<Past>,
    /// Up to this UID mails are asked for one by one: a connection broke among them.
    careful_until: u32,
    /// Failures of single mails.
    tries: HashMap<u32, u32>,
    /// Mails that are larger than the server said.
    larger: HashSet<u32>,
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
            key: name.clone(),
            name,
            checkpoints,
            producer,
            context,
            health,
            checkpoint: None,
            saved_at: None,
            swept_at: None,
            gaps_tried_at: None,
            turns: None,
            past: None,
            careful_until: 0,
            tries: HashMap::new(),
            larger: HashSet::new(),
            note: None,
        }
    }

    /// Keeps its place under another key than the folder's name.
    pub fn kept_under(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// Takes turns with others on one connection, and is polled.
    pub fn in_turns(self, turns: Arc<Semaphore>) -> Self {
        Self { turns: Some(turns), ..self }
    }

    /// Reads until `shutdown`; connections come and go.
    pub async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        while !shutdown.is_cancelled() {
            let begun = Instant::now();
            let reached = self.checkpoint.as_ref().map(|place| (place.uidvalidity, place.last_uid));
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
            let Err(error) = outcome else {
                if self.turns.is_some() {
                    tokio::select! {
                        () = tokio::time::sleep(self.mailbox.config.poll_interval()) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                continue;
            };
            let reached_now = self.checkpoint.as_ref().map(|place| (place.uidvalidity, place.last_uid));
            if begun.elapsed() > Duration::from_secs(120) || reached_now != reached {
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

    /// One connection, until it fails or we are told to stop; one look, if others wait for it.
    async fn session(&mut self) -> Result<(), ImapError> {
        let turns = self.turns.clone();
        let _turn = match &turns {
            Some(turns) => tokio::select! {
                turn = turns.acquire() => turn.ok(),
                () = self.context.shutdown.cancelled() => return Ok(()),
            },
            None => {
                self.swept_at = None;
                None
            }
        };
        let mut connection = connect::connect(&self.mailbox).await?;
        self.open(&mut connection).await?;
        loop {
            connection.forget_announcements();
            let mut found = self.pass(&mut connection).await?;
            if self.context.shutdown.is_cancelled() {
                break;
            }
            let interval = Duration::from_secs(self.mailbox.config.sweep_interval_seconds);
            if self.swept_at.is_none_or(|at| at.elapsed() >= interval) {
                self.sweep(&mut connection).await?;
                self.swept_at = Some(Instant::now());
                found = true;
            }
            self.health.ready();
            // Straight before IDLE stands a look that found nothing: not every server announces in IDLE what came before.
            if found || connection.announced() {
                continue;
            }
            if turns.is_some() {
                break;
            }
            if self.wait(&mut connection).await? == Waited::Interrupted {
                break;
            }
        }
        connection.logout().await;
        Ok(())
    }

    /// Reads the past of the folder to its end, and gives how many mails could not be had.
    pub async fn read_past(mut self, past: Past) -> Result<usize, ImapError> {
        self.past = Some(past);
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        let (mut failures, mut reached) = (0, 0);
        loop {
            match self.past_session().await {
                Ok(()) => return Ok(self.checkpoint.as_ref().map_or(0, |place| place.gaps.len())),
                Err(error) if error.needs_a_person() => return Err(error),
                Err(error) => {
                    let now = self.checkpoint.as_ref().map_or(0, |place| place.last_uid);
                    failures = if now > reached { 1 } else { failures + 1 };
                    reached = now;
                    if failures >= MAX_FAILURES {
                        return Err(error);
                    }
                    tracing::warn!(folder = self.name, %error, "connection given up; connecting again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = self.context.shutdown.cancelled() => return Ok(0),
            }
        }
    }

    async fn past_session(&mut self) -> Result<(), ImapError> {
        let mut connection = connect::connect(&self.mailbox).await?;
        self.open(&mut connection).await?;
        self.pass(&mut connection).await?;
        connection.logout().await;
        Ok(())
    }

    /// Opens the folder, and decides whether the checkpoint is of this folder as it is now.
    async fn open(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        let selected = connection.examine(&self.name).await?;
        let saved = self.checkpoint.take().or_else(|| self.checkpoints.get::<Checkpoint>(&self.key));
        // A backfill that came to its end leaves a place that is of no folder.
        let saved = saved.filter(|saved| self.past.is_none() || saved.uidvalidity != 0);
        let before = saved.as_ref().map(|saved| saved.uidvalidity);
        let mut checkpoint = match (selected.uidvalidity, saved) {
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
        if before.is_some_and(|before| before != checkpoint.uidvalidity) {
            self.swept_at = None;
            self.tries.clear();
            self.larger.clear();
            self.careful_until = 0;
        }
        if let Some(past) = &self.past {
            past.bound(&mut checkpoint, &self.name);
        }
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
            self.checkpoints.save(&self.key, checkpoint).await?;
            self.saved_at = Some(Instant::now());
        }
        Ok(())
    }
}

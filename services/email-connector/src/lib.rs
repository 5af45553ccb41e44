//! Mailboxes, read over IMAP: every mail that reaches a folder becomes exactly one contact, or a reason why not.
//!
//! It owns reading: one task and one connection for each folder, UIDs checked against what the server lists, a
//! checkpoint that moves only after the broker has the items, and the proof of it ([`outcry_domain::Coverage`]). It
//! keeps no state of its own and changes nothing in the mailbox: folders are opened with EXAMINE and bodies fetched with
//! `BODY.PEEK[]`. It refuses to judge: what a mail means is the classifier's business.
//!
//! [`parse_mail`] is pure and total; `outcry parse-email` is its face.

pub mod config;
pub mod error;
pub mod metrics;
pub mod parse;

mod authenticate;
mod checkpoint;
mod connect;
mod coverage;
mod folder;
mod imap;
mod produce;
mod tls;

pub use config::Config;
pub use parse::{FolderKind, ParseContext, parse_mail};

use outcry_kafka::{Checkpoints, KafkaConfig, Publisher};
use outcry_runtime::{Backoff, Context};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Connector and release, as items name it.
pub const CONNECTOR: &str = concat!("email-connector ", env!("CARGO_PKG_VERSION"));

/// How long the broker may take to acknowledge what is still on its way when we stop.
const FLUSH_BUDGET: Duration = Duration::from_secs(10);

/// Reads every folder of every configured mailbox until `context.shutdown`.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let publisher = Publisher::new(&config.kafka, "email-connector")?;
    let mut mailboxes = JoinSet::new();
    for mailbox in &config.email.mailboxes {
        let brand = config.brand(&mailbox.brand)?.clone();
        let mailbox = Arc::new(folder::Mailbox::new(mailbox.clone(), brand, config.identity.customer_key())?);
        mailboxes.spawn(read_mailbox(mailbox, config.kafka.clone(), publisher.clone(), context.clone()));
    }
    if mailboxes.is_empty() {
        context.health.component("email").ready();
        tracing::info!("no [[email.mailboxes]] configured: nothing to read");
        context.shutdown.cancelled().await;
    }
    while let Some(ended) = mailboxes.join_next().await {
        ended??;
    }
    publisher.flush(FLUSH_BUDGET).await;
    Ok(())
}

/// One task for each folder, as soon as it is known where each was left off.
async fn read_mailbox(
    mailbox: Arc<folder::Mailbox>,
    kafka: KafkaConfig,
    publisher: Publisher,
    context: Context,
) -> anyhow::Result<()> {
    let Some(checkpoints) = open_checkpoints(&mailbox.source, &kafka, &publisher, &context).await else {
        return Ok(());
    };
    let mut folders = JoinSet::new();
    for (name, kind) in mailbox.folders() {
        let producer =
            produce::Producer::new(publisher.clone(), Arc::clone(&mailbox), name.clone(), kind, context.clone());
        let reader =
            folder::Folder::new(Arc::clone(&mailbox), name, Arc::clone(&checkpoints), producer, context.clone());
        folders.spawn(reader.run());
    }
    while let Some(ended) = folders.join_next().await {
        ended?;
    }
    Ok(())
}

/// Without checkpoints nothing can be read; a broker that is away comes back. `None` when we are to stop.
async fn open_checkpoints(
    source: &str,
    kafka: &KafkaConfig,
    publisher: &Publisher,
    context: &Context,
) -> Option<Arc<Checkpoints>> {
    let health = context.health.component(&format!("{source} checkpoints"));
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    loop {
        tokio::select! {
            opened = Checkpoints::open(kafka, publisher, source) => match opened {
                Ok(checkpoints) => {
                    health.remove();
                    return Some(Arc::new(checkpoints));
                }
                Err(error) => {
                    tracing::warn!(source, %error, "checkpoints cannot be read; trying again");
                    health.not_ready(error.to_string());
                }
            },
            () = context.shutdown.cancelled() => return None,
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = context.shutdown.cancelled() => return None,
        }
    }
}

//! The past of a mailbox, read once: `outcry backfill email:NAME --since DATE`.
//!
//! Mails keep their own dates and are marked as past, so that no acknowledgement and no alert comes of them. The place is
//! kept as the connector keeps its own: an interrupted backfill goes on where it was left off. What the connector did not
//! reach yet is left to it, for that is not the past.

use crate::{
    Config, FLUSH_BUDGET,
    checkpoint::Checkpoint,
    folder::{Folder, Mailbox, Past},
    produce::Producer,
};
use anyhow::Context as _;
use outcry_kafka::{Checkpoints, Publisher};
use outcry_runtime::Context;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Is told a folder, how many of its mails are done, and how many there are.
pub type Report = dyn Fn(&str, u64, u64) + Send + Sync;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// Mails that were handed on, or found to be gone.
    pub mails: u64,
    /// Mails that could not be had; they are in dead letters.
    pub missing: u64,
    /// Every folder was read to its end; else the same command goes on where this one was left off.
    pub complete: bool,
}

/// Reads every folder of a mailbox from the day `since` on. `report` is told folder, mails done, and mails of this run.
pub async fn backfill(
    config: &Config,
    name: &str,
    since: jiff::civil::Date,
    context: &Context,
    report: Arc<Report>,
) -> anyhow::Result<Backfilled> {
    let known = || config.email.mailboxes.iter().map(crate::config::MailboxConfig::source).collect::<Vec<_>>();
    let entry = config.email.mailboxes.iter().find(|mailbox| mailbox.name == name).with_context(|| {
        format!("there is no mailbox email:{name} among [[email.mailboxes]]; there are {:?}", known())
    })?;
    let brand = config.brand(&entry.brand)?.clone();
    let mailbox = Arc::new(Mailbox::new(entry.clone(), brand, config.identity.customer_key())?);
    let publisher = Publisher::new(&config.kafka, "backfill")?;
    let live = Arc::new(Checkpoints::open(&config.kafka, &publisher, &mailbox.source).await?);
    let owner = format!("{} backfill", mailbox.source);
    let places = Arc::new(Checkpoints::open(&config.kafka, &publisher, &owner).await?);
    let mails = Arc::new(AtomicU64::new(0));
    let mut sum = Backfilled { complete: true, ..Backfilled::default() };
    for (folder, kind) in mailbox.folders() {
        let producer =
            Producer::new(publisher.clone(), Arc::clone(&mailbox), folder.clone(), kind, context.clone()).of_the_past();
        // Another day is another backfill.
        let key = format!("{folder} since {since}");
        let reader = Folder::new(Arc::clone(&mailbox), folder.clone(), Arc::clone(&places), producer, context.clone())
            .kept_under(&key);
        let past = {
            let (mails, report) = (Arc::clone(&mails), Arc::clone(&report));
            let report = move |folder: &str, done: u64, of: u64| {
                mails.store(done, Ordering::Relaxed);
                report(folder, done, of);
            };
            Past { since, live: Arc::clone(&live), report: Arc::new(report) }
        };
        let reading = reader.read_past(past);
        let missing = reading.await.with_context(|| format!("reading the past of {folder:?} in {}", mailbox.source))?;
        sum.mails += mails.swap(0, Ordering::Relaxed);
        sum.missing += missing as u64;
        if context.shutdown.is_cancelled() {
            sum.complete = false;
            break;
        }
        // The next run of this command begins anew.
        places.save(&key, &Checkpoint::default()).await?;
    }
    publisher.flush(FLUSH_BUDGET).await;
    Ok(sum)
}

//! Mail that we send: one receipt per new case of mail, and alerts about critical items.
//!
//! It consumes `items.classified` and owns who is written to and who is not ([`decide`]), in which words ([`template`])
//! and how often ([`ledger`]). It refuses to answer machines, lists, bounces, ourselves, spam, the past, and anything that
//! goes on with a conversation. It keeps no state of its own: what was sent stands in the compacted checkpoint topic.
//!
//! A mail that the server puts off holds up the others for half a minute, and is then tried again for days ([`later`]).
//!
//! A step that cannot be repeated: handing a mail to the server. It is noted right after; see [`ledger`].

pub mod config;
pub mod decide;
pub mod error;
pub mod later;
pub mod ledger;
pub mod message;
pub mod metrics;
pub mod notify;
pub mod patience;
pub mod smtp;
pub mod template;
#[cfg(test)]
mod testing;

pub use config::Config;

use later::Later;
use ledger::Ledger;
use notify::Notify;
use outcry_kafka::{Checkpoints, KafkaConfig, Publisher, Topic, for_each_record};
use outcry_runtime::{Backoff, Context};
use std::{sync::Arc, time::Duration};

/// Owner of our checkpoints, and consumer group.
const NAME: &str = "notifier";
const FLUSH_BUDGET: Duration = Duration::from_secs(10);
const PRUNED_EVERY: Duration = Duration::from_secs(3600);

/// Sends what is due until `context.shutdown`.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    outcry_runtime::install_crypto_provider();
    let kafka = config.kafka.clone();
    let publisher = Publisher::new(&kafka, NAME)?;
    let Some((sent, waiting)) = open_ledger(&kafka, &publisher, &context).await else { return Ok(()) };
    let later = Later::new(waiting, config.notifier.smtp.as_ref(), context.clock.now());
    let notify = Arc::new(Notify::new(config, Ledger::new(sent), later, publisher.clone(), &context)?);
    let handling = notify.clone();
    let handler = move |record| {
        let notify = handling.clone();
        async move { notify.handle(record).await }
    };
    // When the consumer ends, for whatever reason, the rest ends too.
    let context = Context { shutdown: context.shutdown.child_token(), ..context };
    let in_order = async {
        let handled = for_each_record(&kafka, NAME, &[Topic::ItemsClassified], &publisher, &context, handler).await;
        context.shutdown.cancel();
        handled
    };
    let (handled, (), ()) =
        tokio::join!(in_order, notify.later().run(&notify, &kafka, &context), keep_pruned(&notify, &context));
    handled?;
    publisher.flush(FLUSH_BUDGET).await;
    Ok(())
}

async fn keep_pruned(notify: &Notify, context: &Context) {
    loop {
        notify.prune().await;
        tokio::select! {
            () = tokio::time::sleep(PRUNED_EVERY) => {}
            () = context.shutdown.cancelled() => return,
        }
    }
}

/// Nothing is sent before it is known what was sent already. `None`: stopped meanwhile.
async fn open_ledger(
    kafka: &KafkaConfig,
    publisher: &Publisher,
    context: &Context,
) -> Option<(Checkpoints, Checkpoints)> {
    let component = context.health.component("ledger");
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        let opened = tokio::select! {
            opened = open_both(kafka, publisher) => opened,
            () = context.shutdown.cancelled() => return None,
        };
        match opened {
            Ok(both) => {
                component.ready();
                return Some(both);
            }
            Err(error) => {
                tracing::warn!(%error, "reading what was sent before failed; trying again");
                component.not_ready(error.to_string());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = context.shutdown.cancelled() => return None,
        }
    }
}

/// What was sent, and what waits to be sent.
async fn open_both(
    kafka: &KafkaConfig,
    publisher: &Publisher,
) -> Result<(Checkpoints, Checkpoints), outcry_kafka::KafkaError> {
    Ok((Checkpoints::open(kafka, publisher, NAME).await?, Checkpoints::open(kafka, publisher, later::OWNER).await?))
}

//! Mailboxes, read over IMAP: every mail that reaches a folder becomes exactly one contact, or a reason why not.
//!
//! It owns reading: one task and one connection for each folder, UIDs checked against what the server lists, a
//! checkpoint that moves only after the broker has the items, and the proof of it ([`outcry_domain::Coverage`]). It
//! keeps no state of its own and changes nothing in the mailbox: folders are opened with EXAMINE and bodies fetched with
//! `BODY.PEEK[]`. It refuses to judge: what a mail means is the classifier's business.
//!
//! [`parse_mail`] is pure and total; `outcry parse-email` is its face. [`backfill`] reads the past: `outcry backfill`.
//!
//! # What breaks such systems, and the test that it does not break this one
//!
//! | what happens | test |
//! |-|-|
//! | UIDVALIDITY changes: stored UIDs point at other mail | `a_folder_made_anew_is_read_again_and_counts_nothing_twice` |
//! | the server gives no UIDVALIDITY | `a_server_without_uidvalidity_is_read_and_coverage_says_so` |
//! | a migration without dates makes the archive new | `a_folder_that_was_migrated_is_read_again_as_the_past_that_it_is` |
//! | IDLE dies silently | `idle_that_died_silently_is_given_up_and_mail_arrives_all_the_same` |
//! | another client reads, moves or deletes first | `mail_that_another_reader_read_moved_or_deleted_is_no_reason_to_stop` |
//! | one bad mail ends the loop | `a_mail_that_breaks_every_connection_is_known_by_its_header_and_stops_nobody` |
//! | mail moved in from the junk folder has an old date | `mail_that_is_moved_in_with_an_old_date_is_read` |
//! | bodies are fetched again and again, until the provider throttles | `sweeps_and_restarts_fetch_no_body_twice` |
//! | no Message-ID, and one made from sender, subject and second | `two_mails_of_one_sender_subject_and_second_without_message_id_are_two_contacts` |
//! | one mail to two of our mailboxes | `a_mail_to_two_of_our_mailboxes_is_one_contact` |
//! | one mail that cannot be parsed | `mails_that_are_no_mail_stop_nobody` |
//! | From is empty or broken | `an_empty_or_broken_from_is_still_a_contact` |
//! | a mail is too large | `a_mail_over_the_cap_is_stored_by_its_beginning_and_said_so` |
//! | a mail is larger than the server says | `a_server_that_sends_more_than_it_said_does_not_fill_memory` |
//! | the grant for tokens ends, and nobody notices for days | `a_grant_that_was_withdrawn_alarms_while_the_connection_still_stands` |
//! | the first refresh token ends after 90 days | `a_refresh_token_that_the_issuer_replaces_is_kept_over_a_restart` |
//! | single UIDs cannot be read | `a_mail_that_is_listed_and_never_delivered_is_a_gap_that_coverage_shows_and_a_later_sweep_closes` |
//! | their header can | `a_mail_whose_body_is_refused_is_a_gap_known_by_its_header_and_one_contact_when_it_heals` |
//! | mail stays on the server after it was read | `a_restart_goes_on_where_it_was_left_off` |
//! | two readers at once | `two_connectors_on_one_mailbox_lose_nothing_and_count_nothing_twice` |

pub mod config;
pub mod error;
pub mod metrics;
pub mod parse;

mod authenticate;
mod backfill;
mod checkpoint;
mod connect;
mod coverage;
mod folder;
mod imap;
mod metered;
mod produce;
mod tls;

pub use backfill::{Backfilled, Report, backfill};
pub use config::Config;
pub use parse::{FolderKind, ParseContext, parse_mail};

use outcry_kafka::{Checkpoints, KafkaConfig, Publisher};
use outcry_runtime::{Backoff, Context};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet};

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
    let most = mailbox.config.max_connections.max(1);
    let all = mailbox.folders();
    let alone = if all.len() > most { most - 1 } else { most };
    let turns = Arc::new(Semaphore::new(1));
    for (index, (name, kind)) in all.into_iter().enumerate() {
        let producer =
            produce::Producer::new(publisher.clone(), Arc::clone(&mailbox), name.clone(), kind, context.clone());
        let reader =
            folder::Folder::new(Arc::clone(&mailbox), name, Arc::clone(&checkpoints), producer, context.clone());
        let reader = if index < alone { reader } else { reader.in_turns(Arc::clone(&turns)) };
        folders.spawn(reader.run());
    }
    if let Some(oauth2) = mailbox.config.oauth2.clone() {
        folders.spawn(authenticate::keep_fresh(Arc::clone(&mailbox), oauth2, context.clone()));
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_test_that_the_table_names_is_there() {
        let mut text = String::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        ["src", "tests"].iter().for_each(|folder| sources(&root.join(folder), &mut text));
        let rows = include_str!("lib.rs").lines().filter(|line| line.starts_with("//! | "));
        let named: Vec<&str> =
            rows.filter_map(|row| row.strip_suffix("` |")?.rsplit_once('`')).map(|(_, name)| name).collect();
        let absent: Vec<&&str> = named.iter().filter(|name| !text.contains(&format!("fn {name}("))).collect();
        assert!(named.len() >= 20 && absent.is_empty(), "{} rows; no such test: {absent:?}", named.len());
    }
}

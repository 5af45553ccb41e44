//! The connector against an IMAP server that misbehaves, and a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "support/scripted.rs"]
mod scripted;
mod support;

use outcry_domain::{Coverage, Item};
use outcry_kafka::Topic;
use scripted::{Fault, ScriptedServer};
use std::{collections::HashSet, time::Duration};
use support::{Connector, message};

fn mails(uids: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = (u32, Vec<u8>)> {
    uids.map(|uid| (uid, message(uid as usize)))
}

fn numbers(items: &[Item]) -> HashSet<String> {
    items.iter().map(|item| item.subject.clone().unwrap_or_default()).collect()
}

async fn items_until(connector: &Connector, count: usize) -> Vec<Item> {
    connector.read_until(Topic::ItemsRaw, |items: &[Item]| numbers(items).len() >= count).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_of_a_mail_does_not_move_the_checkpoint_past_it() {
    let server = ScriptedServer::start(mails(1..=20)).await;
    server.fault(7, Fault::CutInBody(2));
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items = items_until(&connector, 20).await;
    run.stop().await;
    assert_eq!(numbers(&items).len(), 20, "a lost connection was read as an empty answer");
    assert!(items.iter().all(|item| !item.origin.truncated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_breaks_every_connection_is_known_by_its_header_and_stops_nobody() {
    let server = ScriptedServer::start(mails(1..=5)).await;
    server.fault(3, Fault::Garbage(u32::MAX));
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items = items_until(&connector, 5).await;
    let refusals = connector.refusals(1).await;
    run.stop().await;
    assert_eq!(numbers(&items).len(), 5);
    let cut: Vec<_> = items.iter().filter(|item| item.origin.truncated).collect();
    assert!(!cut.is_empty() && cut.iter().all(|item| item.subject.as_deref() == Some("Order 3")));
    assert!(refusals[0].starts_with("unreadable: INBOX;UIDVALIDITY=1;UID=3"), "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_listed_and_never_delivered_is_a_gap_that_coverage_shows_and_a_later_sweep_closes() {
    for fault in [Fault::Omitted, Fault::Refused] {
        let server = ScriptedServer::start(mails(1..=6)).await;
        server.fault(4, fault);
        let connector =
            Connector::new(&server.settings("sweep_interval_seconds = 1\nidle = false\npoll_interval_seconds = 1"))
                .await;
        let run = connector.start();
        let items = items_until(&connector, 5).await;
        assert!(!numbers(&items).contains("Order 4"), "{fault:?}");
        let refusals = connector.refusals(1).await;
        assert!(refusals.len() == 1 && refusals[0].contains("UID=4"), "{fault:?}: {refusals:?}");
        let missing = |records: &[Coverage]| records.iter().any(|record| record.missing == 1);
        let coverage: Vec<Coverage> = connector.read_until(Topic::SourceCoverage, missing).await;
        let open = coverage.iter().find(|record| record.missing == 1).expect("a record with the gap");
        assert_eq!((open.listed, open.produced, open.missing_examples.as_slice()), (6, 5, &["UID 4".to_owned()][..]));
        server.heal(4);
        let items = items_until(&connector, 6).await;
        assert_eq!(numbers(&items).len(), 6, "{fault:?}");
        let window = (open.window_start, open.window_end);
        let closed = |records: &[Coverage]| {
            records.iter().any(|record| (record.window_start, record.window_end) == window && record.missing == 0)
        };
        let coverage: Vec<Coverage> = connector.read_until(Topic::SourceCoverage, closed).await;
        assert!(closed(&coverage), "{fault:?}: the window with the gap was not told again");
        run.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_arrives_while_others_are_fetched_is_not_slept_over() {
    let server = ScriptedServer::start(mails(1..=2)).await;
    let connector = Connector::new(&server.settings("poll_interval_seconds = 300")).await;
    let run = connector.start();
    items_until(&connector, 2).await;
    // The first sweep is over once IDLE stands.
    while !server.commands().iter().any(|command| command.contains("IDLE")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.arrives_during_fetch(4, message(4));
    server.arrive(3, message(3));
    let items = items_until(&connector, 4).await;
    run.stop().await;
    assert_eq!(numbers(&items).len(), 4, "its EXISTS came before IDLE and was forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_appears_below_the_highest_uid_is_found_by_the_sweep() {
    let server = ScriptedServer::start(mails(1..=3).chain(mails(6..=8))).await;
    server.arrives_during_fetch(5, message(5));
    let connector =
        Connector::new(&server.settings("sweep_interval_seconds = 1\nidle = false\npoll_interval_seconds = 1")).await;
    let run = connector.start();
    let items = items_until(&connector, 7).await;
    run.stop().await;
    assert!(numbers(&items).contains("Order 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_moved_away_does_not_take_along_those_below_it_that_are_not_read_yet() {
    let uids = [10, 5000, 9000];
    let server = ScriptedServer::start(uids.map(|uid| (uid, message(uid as usize)))).await;
    server.fault(9000, Fault::Vanishes);
    server.fault(10, Fault::CutInBody(1));
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items = items_until(&connector, 2).await;
    run.stop().await;
    assert_eq!(numbers(&items), ["Order 10", "Order 5000"].map(str::to_owned).into(), "they were jumped over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_migrated_is_read_again_as_the_past_that_it_is() {
    let server = ScriptedServer::start(mails(1..=3)).await;
    let connector = Connector::new(&server.settings("poll_interval_seconds = 1\nidle = false")).await;
    let run = connector.start();
    items_until(&connector, 3).await;
    connector.wait_for_health("").await;
    run.stop().await;
    // The new server keeps no INTERNALDATE.
    server.moved(2, " 5-Mar-2026 09:00:00 +0000");
    let run = connector.start();
    let again = |items: &[Item]| items.iter().filter(|item| in_folder(item, 2)).count() >= 3;
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, again).await;
    assert_eq!(items.len(), 6, "three, and the same three once more");
    for item in items.iter().filter(|item| in_folder(item, 2)) {
        assert!(item.origin.backfill, "it would be acknowledged again");
        assert_eq!(item.received_at, "2026-03-05T09:00:00Z".parse().unwrap());
        assert_eq!(item.effective_at, "2026-03-02T10:00:00Z".parse().unwrap(), "it is not of the day of the migration");
    }
    run.stop().await;
    // The migration goes on after our first look, and new mail comes in: told apart by when they came in.
    let run = connector.start();
    server.internal_date(5, "01-Jan-2099 00:00:00 +0000");
    server.arrive(4, message(4));
    server.arrive(5, message(5));
    let items = items_until(&connector, 5).await;
    run.stop().await;
    let backfill =
        |subject: &str| items.iter().any(|item| item.subject.as_deref() == Some(subject) && item.origin.backfill);
    assert!(backfill("Order 4"), "the checkpoint forgot that the folder was moved");
    assert!(!backfill("Order 5"), "new mail is no past");
}

fn in_folder(item: &Item, uidvalidity: u32) -> bool {
    item.origin.location.as_deref().is_some_and(|place| place.contains(&format!("UIDVALIDITY={uidvalidity};")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_uidvalidity_is_read_and_coverage_says_so() {
    let server = ScriptedServer::start(mails(1..=3)).await;
    server.without_uidvalidity();
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items = items_until(&connector, 3).await;
    let noted = |records: &[Coverage]| {
        records.iter().any(|record| record.note.as_deref().is_some_and(|note| note.contains("no UIDVALIDITY")))
    };
    let coverage: Vec<Coverage> = connector.read_until(Topic::SourceCoverage, noted).await;
    run.stop().await;
    assert!(numbers(&items).len() == 3 && noted(&coverage));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_hears_no_password() {
    let server = ScriptedServer::start(mails(1..=1)).await;
    let connector = Connector::new(&server.settings("").replace("\"none\"", "\"starttls\"")).await;
    let run = connector.start();
    connector.wait_for_health("does not offer STARTTLS").await;
    run.stop().await;
    assert!(
        server.commands().iter().all(|command| !command.to_ascii_uppercase().contains("LOGIN")),
        "{:?}",
        server.commands()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_connector_sends_can_change_the_mailbox() {
    let server = ScriptedServer::start(mails(1..=3)).await;
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    items_until(&connector, 3).await;
    run.stop().await;
    let commands = server.commands();
    let forbidden = ["SELECT", "STORE", "EXPUNGE", "COPY", "MOVE", "APPEND", "DELETE", "BODY[", "RFC822 "];
    for command in &commands {
        let upper = command.to_ascii_uppercase();
        assert!(!forbidden.iter().any(|word| upper.contains(word)), "{command}");
    }
    assert!(commands.iter().any(|command| command.contains("BODY.PEEK[]")));
}

//! The connector against a real Dovecot and a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use outcry_domain::{Coverage, Direction, Item};
use outcry_email_connector::Backfilled;
use outcry_kafka::Topic;
use outcry_sandbox::{Delivery, Dovecot, shared_stack};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{Connector, message};

fn plain(dovecot: &Dovecot, user: &str, more: &str) -> String {
    format!(
        "host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"{user}\"\npassword = \"{}\"\n{more}",
        dovecot.port(),
        dovecot.password()
    )
}

fn deliveries(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Delivery> {
    numbers.map(|number| Delivery { raw: message(number), internal_date: None })
}

fn distinct(items: &[Item]) -> usize {
    items.iter().map(|item| item.item_id).collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_of_inbox_and_sent_is_one_item_and_coverage_says_so() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.deliver("all", "INBOX", deliveries(0..300)).unwrap();
    let answer = b"From: help@acme.example\r\nTo: customer7@example.org\r\nIn-Reply-To: <m7@example.org>\r\nReferences: <m7@example.org>\r\n\r\nIt is on its way.\r\n";
    dovecot.append("all", "Gesendet & Müll", answer, None).await.ok();
    dovecot.append("all", "Sent", answer, Some("2026-03-02T12:00:00Z".parse().unwrap())).await.unwrap();
    let connector = Connector::new(&plain(dovecot, "all", "sent_folders = [\"Sent\"]")).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 301).await;
    let coverage: Vec<Coverage> = connector.read_until(Topic::SourceCoverage, |records| records.len() >= 6).await;
    connector.wait_for_health("").await;
    run.stop().await;
    assert_eq!((items.len(), distinct(&items)), (301, 301));
    let question = items.iter().find(|item| item.text == "Parcel number 7. is late.").unwrap();
    let answer = items.iter().find(|item| item.direction == Direction::Outbound).unwrap();
    assert_eq!(question.case_id, answer.case_id);
    assert_eq!(answer.received_at, "2026-03-02T12:00:00Z".parse().unwrap());
    assert!(question.origin.location.as_deref().unwrap().starts_with("INBOX;UIDVALIDITY="));
    let first = coverage.iter().find(|record| record.scope == "INBOX").unwrap();
    assert_eq!((first.listed, first.produced, first.missing), (300, 300, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_and_implicit_tls_are_verified() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.append("tls", "INBOX", &message(1), None).await.unwrap();
    let ca = dovecot.ca_file().unwrap().display().to_string();
    for (tls, port) in [("starttls", dovecot.port()), ("implicit", dovecot.tls_port().unwrap())] {
        let settings = format!(
            "host = \"localhost\"\nport = {port}\ntls = \"{tls}\"\nusername = \"tls\"\npassword = \"{}\"\n",
            dovecot.password()
        );
        let connector = Connector::new(&format!("{settings}ca_file = \"{ca}\"")).await;
        let run = connector.start();
        let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| !items.is_empty()).await;
        assert_eq!(items.len(), 1, "{tls}");
        run.stop().await;
        let untrusting = Connector::new(&settings).await;
        let run = untrusting.start();
        untrusting.wait_for_health("TLS with localhost").await;
        run.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_the_right_one_is_not_printed() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    let settings = plain(dovecot, "wrong", "").replace(dovecot.password(), "not-this-one");
    let connector = Connector::new(&settings).await;
    let run = connector.start();
    connector.wait_for_health("logging in").await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_mail_is_in_kafka_within_a_second_of_its_arrival() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.append("idle", "INBOX", &message(0), None).await.unwrap();
    let connector = Connector::new(&plain(dovecot, "idle", "poll_interval_seconds = 300")).await;
    let run = connector.start();
    connector.read_until::<Item>(Topic::ItemsRaw, |items| !items.is_empty()).await;
    connector.wait_for_health("").await;
    let mut slowest = Duration::ZERO;
    for number in 1..=10 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let sent = outcry_runtime::Context::for_tests().clock.now();
        dovecot.append("idle", "INBOX", &message(number), None).await.unwrap();
        let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() > number).await;
        let item = items
            .iter()
            .find(|item| item.text.contains(&format!("number {number}.")))
            .expect("no announcement within patience");
        let took = Duration::from_millis(u64::try_from(item.ingested_at.millis_since(sent)).unwrap_or(0));
        slowest = slowest.max(took);
    }
    println!("slowest of ten from before APPEND to produced: {slowest:?}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_announce_is_asked() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    let connector = Connector::new(&plain(dovecot, "poll", "idle = false\npoll_interval_seconds = 1")).await;
    dovecot.append("poll", "INBOX", &message(1), None).await.unwrap();
    let run = connector.start();
    connector.read_until::<Item>(Topic::ItemsRaw, |items| !items.is_empty()).await;
    dovecot.append("poll", "INBOX", &message(2), None).await.unwrap();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 2).await;
    assert_eq!(items.len(), 2);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was_left_off() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.deliver("restart", "INBOX", deliveries(0..50)).unwrap();
    let connector = Connector::new(&plain(dovecot, "restart", "")).await;
    let run = connector.start();
    connector.read_until::<Item>(Topic::ItemsRaw, |items| items.len() >= 50).await;
    connector.wait_for_health("").await;
    run.stop().await;
    dovecot.deliver("restart", "INBOX", deliveries(50..60)).unwrap();
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 60).await;
    run.stop().await;
    assert_eq!((items.len(), distinct(&items)), (60, 60), "what was with the broker is not read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_in_the_middle_repeat_some_and_lose_none() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.deliver("crash", "INBOX", deliveries(0..4000)).unwrap();
    let connector = Connector::new(&plain(dovecot, "crash", "")).await;
    for produced in [1, 700, 1500, 2200] {
        let run = connector.start();
        connector.read_until::<Item>(Topic::ItemsRaw, |items| items.len() >= produced).await;
        run.crash().await;
    }
    let begun = Instant::now();
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| distinct(items) >= 4000).await;
    println!("4000 mails after four crashes: {} items, the last run {:?}", items.len(), begun.elapsed());
    run.stop().await;
    assert_eq!(distinct(&items), 4000);
    let contacts: HashSet<_> = items.iter().map(|item| item.contact_id).collect();
    assert_eq!(contacts.len(), 4000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_made_anew_is_read_again_and_counts_nothing_twice() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    for number in 0..5 {
        dovecot.append("validity", "Help", &message(number), None).await.unwrap();
    }
    let connector = Connector::new(&plain(dovecot, "validity", "folders = [\"Help\"]")).await;
    let run = connector.start();
    connector.read_until::<Item>(Topic::ItemsRaw, |items| items.len() >= 5).await;
    connector.wait_for_health("").await;
    run.stop().await;
    let mut session = dovecot.login("validity").await.unwrap();
    session.delete("Help").await.unwrap();
    session.logout().await.unwrap();
    // UIDVALIDITY is a time in seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for number in 3..8 {
        dovecot.append("validity", "Help", &message(number), None).await.unwrap();
    }
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| distinct(items) >= 8).await;
    let coverage: Vec<Coverage> = connector
        .read_until(Topic::SourceCoverage, |records: &[Coverage]| records.iter().any(|record| record.note.is_some()))
        .await;
    run.stop().await;
    assert_eq!(distinct(&items), 8);
    assert!(
        coverage.iter().any(|record| record.note.as_deref().is_some_and(|note| note.contains("UIDVALIDITY changed")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_over_the_cap_is_stored_by_its_beginning_and_said_so() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    let mut large = message(1);
    large.extend(std::iter::repeat_n(b"all work and no play\r\n".as_slice(), 30_000).flatten());
    dovecot.append("large", "INBOX", &large, None).await.unwrap();
    dovecot.append("large", "INBOX", &message(2), None).await.unwrap();
    let connector = Connector::new(&plain(dovecot, "large", "max_message_bytes = 500000")).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 2).await;
    let refusals = connector.refusals(1).await;
    run.stop().await;
    let cut = items.iter().find(|item| item.origin.truncated).unwrap();
    assert_eq!(cut.origin.raw_size, large.len() as u64);
    assert!(cut.text.starts_with("Parcel number 1."));
    assert!(items.iter().any(|item| item.text == "Parcel number 2. is late."));
    assert!(refusals.len() == 1 && refusals[0].starts_with("too_large: INBOX;"), "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn since_leaves_older_mail_alone_on_the_first_run() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.append("since", "INBOX", &message(1), Some("2025-06-01T12:00:00Z".parse().unwrap())).await.unwrap();
    dovecot.append("since", "INBOX", &message(2), Some("2026-02-01T12:00:00Z".parse().unwrap())).await.unwrap();
    let connector = Connector::new(&plain(dovecot, "since", "since = \"2026-01-01\"")).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| !items.is_empty()).await;
    connector.wait_for_health("").await;
    run.stop().await;
    assert_eq!(items.len(), 1);
    assert!(items[0].text.contains("number 2."));
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_another_reader_read_moved_or_deleted_is_no_reason_to_stop() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    for number in 0..6 {
        dovecot.append("shared", "INBOX", &message(number), None).await.unwrap();
    }
    let mut session = dovecot.login("shared").await.unwrap();
    session.select("INBOX").await.unwrap();
    session.run_command_and_check_ok("STORE 1:3 +FLAGS (\\Seen)").await.unwrap();
    session.run_command_and_check_ok("STORE 2 +FLAGS (\\Deleted)").await.unwrap();
    session.run_command_and_check_ok("EXPUNGE").await.unwrap();
    let connector = Connector::new(&plain(dovecot, "shared", "")).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 5).await;
    session.run_command_and_check_ok("STORE 1:* +FLAGS (\\Deleted)").await.unwrap();
    session.run_command_and_check_ok("EXPUNGE").await.unwrap();
    dovecot.append("shared", "INBOX", &message(9), None).await.unwrap();
    let after: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 6).await;
    run.stop().await;
    assert_eq!((items.len(), after.len()), (5, 6), "read mail is read, expunged mail is no withdrawal");
}

/// Runs a backfill since 2024; `stop` decides when it is interrupted, by mails done.
async fn backfill(connector: &Connector, stop: impl Fn(u64) -> bool + Send + Sync + 'static) -> Backfilled {
    let context = outcry_runtime::Context::for_tests();
    let shutdown = context.shutdown.clone();
    let report = move |_: &str, done: u64, _: u64| {
        if stop(done) {
            shutdown.cancel();
        }
    };
    let since = "2024-01-01".parse().unwrap();
    outcry_email_connector::backfill(&connector.config, "support", since, &context, Arc::new(report)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_keeps_dates_and_leaves_new_mail_to_the_connector() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    let received = ["2023-12-31T12:00:00Z", "2024-01-01T12:00:00Z", "2025-06-01T12:00:00Z", "2026-02-01T12:00:00Z"];
    for (number, date) in received.iter().enumerate() {
        dovecot.append("past", "INBOX", &message(number), Some(date.parse().unwrap())).await.unwrap();
    }
    let connector = Connector::new(&plain(dovecot, "past", "since = \"2026-01-01\"")).await;
    let run = connector.start();
    connector.read_until::<Item>(Topic::ItemsRaw, |items| !items.is_empty()).await;
    connector.wait_for_health("").await;
    run.stop().await;
    dovecot.append("past", "INBOX", &message(9), None).await.unwrap();
    let read = backfill(&connector, |_| false).await;
    assert_eq!(read, Backfilled { mails: 3, missing: 0, complete: true });
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 4).await;
    assert_eq!(items.len(), 4, "one by the connector, three by the backfill, and the new one by neither");
    let past: Vec<&Item> = items.iter().filter(|item| item.origin.backfill).collect();
    assert_eq!(past.len(), 3, "it would be acknowledged");
    let dates: HashSet<_> = past.iter().map(|item| item.received_at).collect();
    assert_eq!(dates, received[1..].iter().map(|date| date.parse().unwrap()).collect());
    let window = |record: &&Coverage| record.window_start == "2024-01-01T00:00:00Z".parse().unwrap();
    let coverage: Vec<Coverage> =
        connector.read_until(Topic::SourceCoverage, |records| records.iter().any(|record| window(&record))).await;
    let told = coverage.iter().find(window).expect("coverage says what was read");
    assert_eq!((told.listed, told.produced, told.missing), (3, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_backfill_goes_on_where_it_was_left_off() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.deliver("resumed", "INBOX", deliveries(0..900)).unwrap();
    let connector = Connector::new(&plain(dovecot, "resumed", "")).await;
    let first = backfill(&connector, |done| done >= 250).await;
    assert!(!first.complete && first.mails >= 250 && first.mails < 900, "{first:?}");
    let second = backfill(&connector, |_| false).await;
    assert!(second.complete && second.mails == 900 - first.mails, "{first:?} {second:?}");
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 900).await;
    assert_eq!((items.len(), distinct(&items)), (900, 900));
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_moved_in_with_an_old_date_is_read() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    dovecot.append("moved", "INBOX", &message(1), None).await.unwrap();
    dovecot.append("moved", "Junk", &message(2), Some("2025-01-01T12:00:00Z".parse().unwrap())).await.unwrap();
    let connector = Connector::new(&plain(dovecot, "moved", "since = \"2026-01-01\"")).await;
    let run = connector.start();
    connector.read_until::<Item>(Topic::ItemsRaw, |items| !items.is_empty()).await;
    connector.wait_for_health("").await;
    let mut session = dovecot.login("moved").await.unwrap();
    session.select("Junk").await.unwrap();
    session.uid_mv("1:*", "INBOX").await.unwrap();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 2).await;
    run.stop().await;
    assert!(items.iter().any(|item| item.text.contains("number 2.")), "a date window would pass over it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_to_two_of_our_mailboxes_is_one_contact() {
    let dovecot = shared_stack().await.dovecot().unwrap();
    for user in ["both-support", "both-sales"] {
        dovecot.append(user, "INBOX", &message(1), None).await.unwrap();
    }
    let second = plain(dovecot, "both-sales", "");
    let two = format!(
        "{}[[email.mailboxes]]\nname = \"sales\"\nbrand = \"acme\"\n{second}",
        plain(dovecot, "both-support", "")
    );
    let connector = Connector::new(&two).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 2).await;
    run.stop().await;
    assert_eq!(items.iter().map(|item| item.contact_id).collect::<HashSet<_>>().len(), 1);
    assert_eq!(items.iter().map(|item| item.source.clone()).collect::<HashSet<_>>().len(), 2);
}

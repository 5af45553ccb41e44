//! The connector against an IMAP server that misbehaves, and a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "support/issuer.rs"]
mod issuer;
#[path = "misbehaving/signing_in.rs"]
mod signing_in;
mod support;
#[path = "misbehaving/waiting.rs"]
mod waiting;

use outcry_domain::{Coverage, Item};
use outcry_kafka::Topic;
use outcry_sandbox::{ImapFault as Fault, ScriptedImap};
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
    let server = ScriptedImap::start(mails(1..=20)).await.unwrap();
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
    let server = ScriptedImap::start(mails(1..=5)).await.unwrap();
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
        let server = ScriptedImap::start(mails(1..=6)).await.unwrap();
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
    let server = ScriptedImap::start(mails(1..=2)).await.unwrap();
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
    let server = ScriptedImap::start(mails(1..=3).chain(mails(6..=8))).await.unwrap();
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
    let server = ScriptedImap::start(uids.map(|uid| (uid, message(uid as usize)))).await.unwrap();
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
    let server = ScriptedImap::start(mails(1..=3)).await.unwrap();
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
    let server = ScriptedImap::start(mails(1..=3)).await.unwrap();
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
async fn nothing_that_the_connector_sends_can_change_the_mailbox() {
    let server = ScriptedImap::start(mails(1..=3)).await.unwrap();
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

/// Waits until the server has heard such a line so many times.
async fn heard(server: &ScriptedImap, part: &str, times: usize) {
    let count = || server.commands().iter().filter(|command| command.contains(part)).count();
    let begun = std::time::Instant::now();
    while count() < times {
        assert!(begun.elapsed() < outcry_sandbox::PATIENCE, "{part:?} was heard {} times, not {times}", count());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bodies_of(server: &ScriptedImap, uid: u32) -> usize {
    let asked = |command: &str| {
        let set =
            command.split_once("UID FETCH ").and_then(|(_, rest)| rest.split_once(' ')).map(|(set, _)| set.to_owned());
        set.is_some_and(|set| {
            set.split(',').any(|part| {
                let (low, high) = part.split_once(':').unwrap_or((part, part));
                (low.parse().unwrap()..=high.parse().unwrap()).contains(&uid)
            })
        })
    };
    server.commands().iter().filter(|command| command.contains("BODY.PEEK[") && asked(command)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_left_after_the_timeout_and_read_over_another_connection() {
    let server = ScriptedImap::start(mails(1..=4)).await.unwrap();
    server.behave(|manners| manners.silent_connections = 1);
    server.fault(2, Fault::StallsInBody(1));
    let connector = Connector::new(&server.settings("").replace("timeout_seconds = 3", "timeout_seconds = 1")).await;
    let run = connector.start();
    connector.wait_for_health("no answer within 1 s").await;
    let items = items_until(&connector, 4).await;
    run.stop().await;
    assert_eq!(numbers(&items).len(), 4);
    assert!(items.iter().all(|item| !item.origin.truncated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_more_than_it_said_does_not_fill_memory() {
    let server = ScriptedImap::start(mails(1..=3)).await.unwrap();
    server.fault(2, Fault::Padded { bytes: 400_000_000, told: false });
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items = items_until(&connector, 3).await;
    let refusals = connector.refusals(1).await;
    run.stop().await;
    assert_eq!(numbers(&items).len(), 3);
    let cut = items.iter().find(|item| item.origin.truncated).expect("the large one by its beginning");
    assert!(cut.text.starts_with("Parcel number 2."), "{:?}", cut.text.get(..40));
    assert!(refusals[0].starts_with("too_large: INBOX;UIDVALIDITY=1;UID=2"), "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_body_is_refused_is_a_gap_known_by_its_header_and_one_contact_when_it_heals() {
    let server = ScriptedImap::start(mails(1..=3)).await.unwrap();
    server.fault(2, Fault::BodyRefused);
    let settings = server.settings("sweep_interval_seconds = 1\nidle = false\npoll_interval_seconds = 1");
    let connector = Connector::new(&settings).await;
    let run = connector.start();
    let items = items_until(&connector, 3).await;
    let header = items.iter().find(|item| item.origin.truncated).expect("the header is known");
    let missing = |records: &[Coverage]| records.iter().any(|record| record.missing == 1);
    let coverage: Vec<Coverage> = connector.read_until(Topic::SourceCoverage, missing).await;
    assert!(missing(&coverage), "its text is missing and coverage does not say so");
    // Sweeps ask again, and repeat neither the item nor the dead letter.
    let asked = bodies_of(&server, 2);
    while bodies_of(&server, 2) < asked + 6 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(connector.refusals(1).await.len(), 1);
    server.heal(2);
    let whole = |items: &[Item]| items.iter().any(|item| item.text.starts_with("Parcel number 2."));
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, whole).await;
    run.stop().await;
    assert_eq!(items.len(), 4, "three, and the whole of the second");
    let healed = items.iter().find(|item| item.text.starts_with("Parcel number 2.")).unwrap();
    assert_eq!(healed.contact_id, header.contact_id, "it would count twice");
    assert!(healed.revision > header.revision, "the header would win");
    assert_eq!(items.iter().map(|item| item.contact_id).collect::<HashSet<_>>().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_and_restarts_fetch_no_body_twice() {
    let server = ScriptedImap::start(mails(1..=5)).await.unwrap();
    let settings = server.settings("sweep_interval_seconds = 1\nidle = false\npoll_interval_seconds = 1");
    let connector = Connector::new(&settings).await;
    let run = connector.start();
    items_until(&connector, 5).await;
    heard(&server, "SEARCH ON ", 6).await;
    run.stop().await;
    let run = connector.start();
    heard(&server, "SEARCH ON ", 10).await;
    run.stop().await;
    for uid in 1..=5 {
        assert_eq!(bodies_of(&server, uid), 1, "UID {uid}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_folders_than_connections_take_turns() {
    let server = ScriptedImap::start(mails(1..=2)).await.unwrap();
    let folders = (1..=6).map(|number| format!("\"F{number}\"")).collect::<Vec<_>>().join(", ");
    let more = format!("folders = [{folders}]\nmax_connections = 2\npoll_interval_seconds = 1");
    let connector = Connector::new(&server.settings(&more)).await;
    let run = connector.start();
    // Each folder of this server holds the same mails.
    let in_all = |items: &[Item]| items.len() >= 12;
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, in_all).await;
    connector.wait_for_health("").await;
    server.arrive(3, message(3));
    let items_after: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 18).await;
    run.stop().await;
    assert_eq!((items.len(), items_after.len()), (12, 18));
    assert!(server.most_open() <= 2, "{} connections were open at once", server.most_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_does_not_exist_is_named_and_the_others_are_read() {
    let server = ScriptedImap::start(mails(1..=2)).await.unwrap();
    server.behave(|manners| manners.absent_folders = vec!["Complaints".into()]);
    let connector = Connector::new(&server.settings("folders = [\"Complaints\", \"INBOX\"]")).await;
    let run = connector.start();
    connector.wait_for_health("opening folder \"Complaints\"").await;
    assert_eq!(numbers(&items_until(&connector, 2).await).len(), 2);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_are_no_mail_stop_nobody() {
    let junk: [&[u8]; 4] =
        [b"\0\xff\xfe not a mail", b"", b"\r\n", b"Content-Type: multipart/mixed; boundary=\"\r\n\r\n--"];
    let junk = (2..).zip(junk.map(<[u8]>::to_vec));
    let server = ScriptedImap::start(mails(1..=1).chain(junk).chain(mails(6..=7))).await.unwrap();
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 7).await;
    connector.wait_for_health("").await;
    run.stop().await;
    assert_eq!(items.len(), 7, "an item for each, whatever it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mails_of_one_sender_subject_and_second_without_message_id_are_two_contacts() {
    let twin = |text: &str| {
        format!(
            "From: ana@customer.example\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\nSubject: Order\r\n\r\n{text}\r\n"
        )
        .into_bytes()
    };
    let server = ScriptedImap::start([(1, twin("It is late.")), (2, twin("It is broken."))]).await.unwrap();
    let connector = Connector::new(&server.settings("")).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| items.len() >= 2).await;
    run.stop().await;
    assert_eq!(items.iter().map(|item| item.contact_id).collect::<HashSet<_>>().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connectors_on_one_mailbox_lose_nothing_and_count_nothing_twice() {
    let server = ScriptedImap::start(mails(1..=200)).await.unwrap();
    let connector = Connector::new(&server.settings("")).await;
    let (first, second) = (connector.start(), connector.start());
    items_until(&connector, 200).await;
    server.arrive(201, message(201));
    let items = items_until(&connector, 201).await;
    first.stop().await;
    second.stop().await;
    let contacts: HashSet<_> = items.iter().map(|item| item.contact_id).collect();
    let ids: HashSet<_> = items.iter().map(|item| item.item_id).collect();
    assert_eq!((contacts.len(), ids.len()), (201, 201));
}

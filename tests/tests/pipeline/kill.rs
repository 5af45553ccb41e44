//! SIGKILL of the services behind Kafka while items pass: nothing lost, nothing doubled in what an analyst sees.

use crate::setup::{CLASSIFIER, NOTIFIER, PATIENCE, Receipts, SINK, classified, kill_during};
use futures::{StreamExt, stream};
use outcry_domain::{Item, Timestamp};
use outcry_kafka::Topic;
use outcry_tests::{Generator, Pipeline};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const KILLS: u32 = 3;
const ITEMS: u64 = 4_000;
const SLICE: u64 = 200;

/// Items in slices over about five seconds, so that every kill finds some on their way.
async fn publish_slowly(pipeline: &Pipeline<'_>) -> BTreeSet<String> {
    let generator = Generator::new("acme", 3);
    let mut ledger = BTreeSet::new();
    for start in (0..ITEMS).step_by(SLICE as usize) {
        ledger.extend(pipeline.publish_items(&generator, start..start + SLICE).await.unwrap());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    ledger
}

async fn survives(service: &str) -> u64 {
    let pipeline = classified("").await;
    let ledger = kill_during(&pipeline, service, KILLS, publish_slowly(&pipeline)).await;
    assert_eq!(ledger.len() as u64, ITEMS);
    let found = pipeline.compare_items(&ledger, PATIENCE).await.unwrap();
    assert!(found.is_none(), "after {KILLS} SIGKILLs of {service}: {found}");
    pipeline.physical_duplicates().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_classifier_loses_and_doubles_nothing() {
    survives(CLASSIFIER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sink_loses_and_doubles_nothing_not_even_physically() {
    assert_eq!(survives(SINK).await, 0, "rows that the view hides because they repeat another");
}

/// The first mail of a case, of this moment; the generator's own are of another time.
fn fresh_mail(generator: &Generator, number: u64) -> Item {
    let now = Timestamp::from(jiff::Timestamp::now());
    // Three items a case; every fourth case is a post.
    let case = number / 3 * 4 + 1 + number % 3;
    let mut item = generator.item(case * 3);
    (item.occurred_at, item.received_at, item.ingested_at, item.effective_at) = (now, now, now, now);
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_notifier_acknowledges_every_case_and_counts_each_receipt_once() {
    const MAILS: u64 = 60;
    let receipts = Receipts::new();
    let mut pipeline = classified(&receipts.sections()).await;
    pipeline.start(&[NOTIFIER]).await.unwrap();
    let generator = Generator::new("acme", 4);
    let publisher = pipeline.publisher().unwrap();
    let load = stream::iter(0..MAILS).then(|number| {
        let (item, publisher) = (fresh_mail(&generator, number), &publisher);
        async move {
            publisher.publish_json(Topic::ItemsRaw, &item.case_id.to_string(), &item).await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
            (item.case_id.to_string(), item.mail.unwrap().from)
        }
    });
    let sent: BTreeMap<String, String> = kill_during(&pipeline, NOTIFIER, KILLS, load.collect()).await;
    assert_eq!(sent.len() as u64, MAILS);

    // Every receipt is an item too: one to a case.
    let cases: BTreeSet<String> = sent.keys().cloned().collect();
    let view = "SELECT toString(case_id) FROM {db}.contacts WHERE direction = 'outbound'";
    let found = pipeline.compare(&cases, view, PATIENCE).await.unwrap();
    assert!(found.is_none(), "receipts by case: {found}");

    // A mail cannot be unsent: killed between the server's 250 and our note, the notifier sends that one mail again, with
    // the same Message-ID. At most one to a kill and partition, and never to nobody.
    let mut message_ids = BTreeMap::<String, Vec<String>>::new();
    for received in receipts.0.received() {
        let text = String::from_utf8_lossy(&received.data).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default().to_owned();
        received.to.iter().for_each(|to| message_ids.entry(to.clone()).or_default().push(id.clone()));
    }
    let expected: BTreeSet<&String> = sent.values().collect();
    assert_eq!(message_ids.keys().collect::<BTreeSet<_>>(), expected, "who got a receipt");
    let repeated: usize = message_ids.values().map(|ids| ids.len() - 1).sum();
    assert!(repeated <= (KILLS * 4) as usize, "{repeated} receipts were sent again");
    for (address, ids) in message_ids {
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1, "{address} got different receipts: {ids:?}");
    }
}

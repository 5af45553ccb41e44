//! SIGKILL of the services at the front while mail, calls, posts and case events come in.

use crate::setup::{
    CONSOLE, ConsoleFront, EMAIL, Mailbox, Mentions, PATIENCE, PHONE, SINK, SOCIAL, classified, kill_during, mail,
};
use futures::{StreamExt, stream};
use jiff::{Timestamp, ToSpan};
use outcry_sandbox::shared_stack;
use outcry_tests::{Pipeline, phone::PhoneFront};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const KILLS: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_email_connector_loses_and_doubles_nothing() {
    let mailbox = Mailbox::new().await;
    let mut pipeline = classified(&mailbox.sections()).await;
    pipeline.start(&[EMAIL]).await.unwrap();
    let load = async {
        let mut ledger = BTreeSet::new();
        for number in 0..120 {
            let key = format!("kill-{number}");
            let text = format!("The parcel number {number} has not arrived. Please answer.");
            mailbox.append(&mail(&key, "ana", "Where is it?", &text)).await.unwrap();
            ledger.insert(format!("{key}@customer.example"));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        ledger
    };
    let ledger = kill_during(&pipeline, EMAIL, KILLS, load).await;
    let found = pipeline.compare(&ledger, "SELECT mail_message_id FROM {db}.items", PATIENCE).await.unwrap();
    assert!(found.is_none(), "items by Message-ID: {found}");
    let contacts = pipeline.number("SELECT count() FROM {db}.contacts").await.unwrap();
    assert_eq!(contacts, ledger.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_phone_connector_loses_no_event_that_it_accepted() {
    let front = PhoneFront::new().unwrap();
    let mut pipeline = classified(&front.sections()).await;
    pipeline.start(&[PHONE]).await.unwrap();
    // A provider posts again until it hears 2xx, so an event may well arrive twice.
    let load = stream::iter(0..600_u32)
        .map(|number| {
            let front = &front;
            async move {
                front.post_until_accepted(number, PATIENCE).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                number.to_string()
            }
        })
        .buffer_unordered(4)
        .collect::<BTreeSet<_>>();
    let ledger = kill_during(&pipeline, PHONE, KILLS, load).await;
    let found = pipeline.compare(&ledger, "SELECT toString(call_sequence) FROM {db}.items", PATIENCE).await.unwrap();
    assert!(found.is_none(), "items by sequence: {found}");
    let calls = pipeline.number("SELECT count() FROM {db}.calls").await.unwrap();
    assert_eq!(calls, ledger.len() as u64, "each event is of a call of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_social_connector_loses_and_doubles_nothing() {
    let mentions = Mentions::new("token-of-the-kill-test");
    let mut pipeline = classified(&mentions.sections()).await;
    pipeline.start(&[SOCIAL]).await.unwrap();
    let load = async {
        let mut ledger = BTreeSet::new();
        for number in 0..150_i64 {
            let at = Timestamp::now() - (300 - number).seconds();
            let asked = mentions.mention(&format!("c{number}"), "My order is late again, where is it?", at);
            let answered = mentions.0.add_own("We are looking into it.", at + 30.seconds(), Some(&asked));
            let base = mentions.0.base_url();
            ledger.insert(format!("{base}/users/c{number}/statuses/{asked}"));
            ledger.insert(format!("{base}/users/acme/statuses/{answered}"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ledger
    };
    let ledger = kill_during(&pipeline, SOCIAL, KILLS, load).await;
    let found = pipeline.compare(&ledger, "SELECT post_uri FROM {db}.items", PATIENCE).await.unwrap();
    assert!(found.is_none(), "items by URI: {found}");
    let answered = "SELECT count() FROM {db}.cases WHERE time_to_first_response_seconds = 30";
    assert_eq!(pipeline.number(answered).await.unwrap(), 150, "every answer is in its question's case");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_console_loses_no_case_event_that_it_accepted() {
    let console = ConsoleFront::new("token-of-the-console-kill-test");
    let mut pipeline = Pipeline::prepare(shared_stack().await, &console.sections()).await.unwrap();
    pipeline.start(&[CONSOLE, SINK]).await.unwrap();
    let load = async {
        let mut ledger = BTreeSet::new();
        for number in 0..100_u32 {
            let case = format!("{number:032x}");
            let action = json!({ "type": "commitment", "text": format!("promise {number}") });
            // Whoever posts tries again under the same key until it is accepted.
            let begun = std::time::Instant::now();
            while !matches!(console.post_event(&format!("key-{number}"), &case, &action).await, Ok(200..300)) {
                assert!(begun.elapsed() < PATIENCE, "case event {number} was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            ledger.insert(format!("promise {number}"));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        ledger
    };
    let ledger = kill_during(&pipeline, CONSOLE, KILLS, load).await;
    let found = pipeline.compare(&ledger, "SELECT text FROM {db}.case_events", PATIENCE).await.unwrap();
    assert!(found.is_none(), "case events: {found}");
}

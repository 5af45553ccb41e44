//! One customer story for each channel, through every service.

use crate::setup::{Everything, PATIENCE, SERVICES, mail};
use jiff::{Timestamp, ToSpan};
use outcry_sandbox::shared_stack;
use outcry_tests::{Pipeline, phone::PhoneFront, webhook::call_event};
use serde_json::json;
use std::time::Duration;

async fn call(front: &PhoneFront) {
    let start = Timestamp::now() - 300.seconds();
    let event = |kind: &str, sequence: u32, second: i64| {
        call_event(kind, "call-e2e", sequence, &(start + second.seconds()).to_string())
    };
    // Out of order, and the answer twice, as providers do when an answer of ours was lost.
    let events = [event("ended", 4, 200), event("started", 1, 0), event("answered", 3, 45), event("queued", 2, 5)];
    for event in events.iter().chain([&events[2]]) {
        let id = format!("msg-{}", event["sequence"]);
        let status = front.post_standard(&id, event).await.unwrap();
        assert!((200..300).contains(&status), "{event}: {status}");
    }
    let twilio = [
        ("CallSid", "CA00000000000000000000000000000001"),
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("From", "+390212345678"),
        ("To", "+390698765432"),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("ApiVersion", "2010-04-01"),
    ];
    assert!((200..300).contains(&front.post_twilio(&twilio).await.unwrap()));
}

fn posts(everything: &Everything) {
    let asked_at = Timestamp::now() - 7200.seconds();
    let asked = everything.mentions.mention("rosa", "My account was charged twice, this is unacceptable!", asked_at);
    let server = &everything.mentions.0;
    server.add_own("Sorry to hear that. We are on it.", asked_at + 600.seconds(), Some(&asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_calls_and_mentions_come_in_and_answers_come_out() {
    let everything = Everything::new("token-of-the-end-to-end-test", "console-token-of-the-end-to-end-test").await;
    let mut pipeline = Pipeline::prepare(shared_stack().await, &everything.sections()).await.unwrap();
    everything.mailbox.append(&mail("first", "ana", "Parcel missing", "My parcel has not arrived.")).await.unwrap();
    posts(&everything);
    pipeline.start(&SERVICES).await.unwrap();
    // One that was there, and one that arrives while the connector listens.
    everything.mailbox.append(&mail("second", "ben", "Charged twice", "Please return my 20 EUR.")).await.unwrap();
    call(&everything.phone).await;

    let contacts = "SELECT count() FROM {db}.contacts WHERE direction = 'inbound'";
    pipeline.wait_for(contacts, 5, PATIENCE).await.unwrap();
    let by_channel =
        "SELECT channel, count() FROM {db}.contacts WHERE direction = 'inbound' GROUP BY channel ORDER BY channel";
    assert_eq!(pipeline.ask(by_channel).await.unwrap(), ["email\t2", "phone\t2", "social\t1"]);
    assert_eq!(pipeline.number("SELECT count() FROM {db}.dead_letters").await.unwrap(), 0);

    answers_are_timed(&pipeline).await;
    receipts_arrive_once(&pipeline, &everything).await;
    people_see_it_and_have_their_say(&pipeline, &everything).await;
}

async fn answers_are_timed(pipeline: &Pipeline<'_>) {
    pipeline.wait_for("SELECT count() FROM {db}.contacts WHERE channel = 'social'", 2, PATIENCE).await.unwrap();
    let social = "SELECT time_to_first_response_seconds, n_contacts FROM {db}.cases WHERE channel = 'social'";
    assert_eq!(pipeline.ask(social).await.unwrap(), ["600\t2"]);
    pipeline.wait_for("SELECT count() FROM {db}.items WHERE call_id = 'call-e2e'", 4, PATIENCE).await.unwrap();
    let calls = "SELECT wait_seconds, talk_seconds, n_events, abandoned FROM {db}.calls WHERE call_id = 'call-e2e'";
    assert_eq!(pipeline.ask(calls).await.unwrap(), ["40\t155\t4\tfalse"]);
}

async fn receipts_arrive_once(pipeline: &Pipeline<'_>, everything: &Everything) {
    let received = everything.receipts.0.wait_for(2, PATIENCE).await;
    // A second one, or one to somebody else, would be on its way by now.
    pipeline.wait_for("SELECT count() FROM {db}.contacts WHERE channel = 'email'", 4, PATIENCE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut addresses: Vec<String> = received.into_iter().flat_map(|mail| mail.to).collect();
    addresses.sort();
    assert_eq!(addresses, ["ana@customer.example", "ben@customer.example"]);
    assert_eq!(everything.receipts.0.received().len(), 2, "one receipt for each case");
    let told = "SELECT count() FROM {db}.cases WHERE channel = 'email' AND isNotNull(acknowledged_at) AND isNull(first_response_at)";
    assert_eq!(pipeline.number(told).await.unwrap(), 2, "a receipt is no response");
}

async fn people_see_it_and_have_their_say(pipeline: &Pipeline<'_>, everything: &Everything) {
    let console = &everything.console;
    let (status, page) = console.get("/").await.unwrap();
    assert_eq!(status, 200, "{page}");
    let (status, report) = console.get("/api/reports/response-times").await.unwrap();
    assert!(status == 200 && report.contains("\"social\""), "{status} {report}");
    let case = &pipeline.ask("SELECT toString(case_id) FROM {db}.cases WHERE channel = 'social'").await.unwrap()[0];
    let solved = json!({ "type": "solved", "resolution": "charge returned" });
    for _ in 0..2 {
        assert!(matches!(console.post_event("the-same-key", case, &solved).await.unwrap(), 200..300));
    }
    pipeline.wait_for("SELECT count() FROM {db}.cases WHERE status = 'solved'", 1, PATIENCE).await.unwrap();
    assert_eq!(
        pipeline.number("SELECT count() FROM {db}.case_events").await.unwrap(),
        1,
        "posted twice, happened once"
    );
}

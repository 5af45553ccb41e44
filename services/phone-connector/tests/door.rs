//! What each account's path does with good and bad webhooks, short of the socket and of Kafka.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod common;
mod providers;
mod sweep;

use common::{Bench, standard_headers, twilio_headers};
use http::Method;
use outcry_domain::{CallEventKind, Channel, Direction};
use outcry_webhook::Reply;
use serde_json::json;

const EVENT: &[u8] = br#"{"type":"call.started","call_id":"c1","sequence":1,"occurred_at":"2026-03-01T09:30:00Z","direction":"inbound","from":"02 12345678","to":"+39021111111"}"#;

#[tokio::test]
async fn a_signed_event_becomes_an_item() {
    let bench = Bench::new(&json!({})).await;
    assert_eq!(bench.standard(EVENT).await, Reply::accepted());
    let items = bench.kept.items();
    let item = &items[0];
    assert_eq!((items.len(), item.channel, item.source.as_str()), (1, Channel::Phone, "phone:main"));
    assert_eq!(item.customer.address.as_deref(), Some("+390212345678"));
    assert_eq!((item.revision, item.occurred_at.to_string().as_str()), (1, "2026-03-01T09:30:00.000Z"));
    assert_eq!(item.received_at, bench.now);
    assert_eq!(item.origin.raw_size, EVENT.len() as u64);
    assert_eq!(item.call.as_ref().unwrap().event, CallEventKind::Started);
}

#[tokio::test]
async fn a_replay_is_the_same_fact_and_other_events_are_others() {
    let bench = Bench::new(&json!({})).await;
    bench.standard(EVENT).await;
    bench.send_at(Method::POST, "/hooks/main", &standard_headers("msg_1", bench.now, EVENT), EVENT, 60).await;
    let ended = br#"{"type":"call.ended","call_id":"c1","sequence":2,"occurred_at":"2026-03-01T09:31:00Z"}"#;
    bench.standard(ended).await;
    let items = bench.kept.items();
    assert_eq!(items[0].item_id, items[1].item_id);
    assert_ne!(items[0].item_id, items[2].item_id);
    assert_eq!((items[0].contact_id, items[0].case_id), (items[2].contact_id, items[2].case_id));
}

#[tokio::test]
async fn every_failure_of_authentication_gets_one_answer_and_leaves_nothing() {
    let bench = Bench::new(&json!({})).await;
    let good = standard_headers("msg_1", bench.now, EVENT);
    let mut changed = EVENT.to_vec();
    changed[20] ^= 1;
    let forged: Vec<_> = good.iter().cloned().map(|(name, value)| (name, value.replace("v1,", "v1,A"))).collect();
    let twice: Vec<_> = good.iter().chain(&good[2..]).cloned().collect();
    let other = twilio_headers("/hooks/twilio", "CallSid=CA1");
    for (headers, body, seconds) in [
        (&good, changed.as_slice(), 0),
        (&good, EVENT, 301),
        (&good, EVENT, -301),
        (&forged, EVENT, 0),
        (&twice, EVENT, 0),
        (&good[..2].to_vec(), EVENT, 0),
        (&vec![], EVENT, 0),
        (&other, EVENT, 0),
        // Not even a body that cannot be read says more before it is believed.
        (&vec![], b"{", 0),
    ] {
        assert_eq!(bench.send_at(Method::POST, "/hooks/main", headers, body, seconds).await, Reply::Unauthorized);
    }
    assert_eq!(bench.send_at(Method::POST, "/hooks/main", &good, EVENT, 299).await, Reply::accepted());
    assert_eq!((bench.kept.items().len(), bench.kept.dead_letters().len()), (1, 0));
}

#[tokio::test]
async fn what_is_authentic_and_cannot_be_used_is_a_dead_letter_as_it_came() {
    let bench = Bench::new(&json!({})).await;
    for body in [
        &b"{\"call_id\""[..],
        b"",
        b"\xff\xfe",
        b"[1]",
        br#"{"type":"call.ended"}"#,
        br#"{"call_id":"\ud800","type":"x"}"#,
    ] {
        assert!(matches!(bench.standard(body).await, Reply::Invalid(_)), "{body:?}");
        let (letter, payload) = bench.kept.dead_letters().pop().unwrap();
        assert_eq!(payload, body);
        assert_eq!((letter.reason.as_str(), letter.origin.as_str()), ("undecodable", "phone:main"));
        assert!(!letter.detail.is_empty());
    }
    let ten_thousand = "a=1&".repeat(10_000);
    assert!(matches!(bench.twilio(&ten_thousand).await, Reply::Invalid(reason) if reason.contains("10000 fields")));
    assert_eq!(bench.kept.dead_letters().len(), 7);
    assert!(bench.kept.items().is_empty());
}

#[tokio::test]
async fn odd_values_are_stored() {
    let bench = Bench::new(&json!({})).await;
    let long = "x".repeat(200_000);
    let body = json!({
        "type": "call.transcript", "call_id": "c\u{0}9", "occurred_at": "2099-01-01T00:00:00Z", "from": "anonymous",
        "direction": "inbound", "transcript": long, "mood": { "deep": [1, null] },
    });
    assert_eq!(bench.standard(body.to_string().as_bytes()).await, Reply::accepted());
    let epoch = br#"{"type":"call.ended","call_id":"c10","occurred_at":"1970-01-01T00:00:00Z"}"#;
    assert_eq!(bench.standard(epoch).await, Reply::accepted());
    let items = bench.kept.items();
    assert_eq!(items[0].text.len(), 200_000);
    assert!(items[0].clock_suspect && items[0].effective_at == bench.now, "a clock in 2099 is not believed");
    assert_eq!(items[0].call.as_ref().unwrap().provider_fields["mood"]["deep"][0], 1);
    assert_eq!(items[1].effective_at, bench.now, "1970 stands for no time");
}

#[tokio::test]
async fn paths_and_methods_that_nobody_has() {
    let bench = Bench::new(&json!({})).await;
    for path in
        ["/", "/hooks", "/hooks/", "/hooks/nobody", "/hooks/main/token", "/hooks/main/", "/hook/main", "/hooks/MAIN"]
    {
        assert_eq!(bench.post(path, &[], b"").await, Reply::NotFound, "{path}");
    }
    let get = bench.send_at(Method::GET, "/hooks/main", &[], b"", 0).await;
    assert_eq!(get, Reply::MethodNotAllowed { allow: "POST" });
}

#[tokio::test]
async fn twilio_signs_the_public_url_with_its_query() {
    let bench = Bench::new(&json!({})).await;
    let form = "CallSid=CA1&Direction=outbound-api&From=%2B39021111111&To=%2B390212345678&CallStatus=in-progress&SequenceNumber=2&Timestamp=Thu,+05+Mar+2026+18:30:43+%2B0000";
    let target = "/hooks/twilio?case=a%20b";
    let headers = twilio_headers(target, form);
    assert!(matches!(
        bench.post(target, &headers, form.as_bytes()).await,
        Reply::Accepted { media_type: "text/xml", .. }
    ));
    assert_eq!(bench.post("/hooks/twilio?case=a+b", &headers, form.as_bytes()).await, Reply::Unauthorized);
    let changed = form.replace("CA1", "CA2");
    assert_eq!(bench.post(target, &headers, changed.as_bytes()).await, Reply::Unauthorized);
    let items = bench.kept.items();
    assert_eq!((items.len(), items[0].direction), (1, Direction::Outbound));
    assert_eq!(items[0].customer.address.as_deref(), Some("+390212345678"));
}

#[tokio::test]
async fn twilio_by_get_carries_its_fields_in_the_query() {
    let bench = Bench::new(&json!({})).await;
    let target = "/hooks/twilio?CallSid=CA9&CallStatus=completed&Direction=inbound&From=anonymous&CallDuration=12";
    let signed = twilio_headers(target, "");
    let reply = bench.send_at(Method::GET, target, &signed[..1], b"", 0).await;
    assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    let items = bench.kept.items();
    assert_eq!(items[0].call.as_ref().unwrap().duration_ms, Some(12_000));
    assert_eq!(items[0].customer.address, None);
}

/// All events of one Twilio call meet, the recording that knows no number included.
#[tokio::test]
async fn a_recording_and_its_call_are_one_case() {
    let bench = Bench::new(&json!({})).await;
    bench.twilio("CallSid=CA1&CallStatus=completed&Direction=inbound&From=%2B390212345678&To=%2B39021111111").await;
    bench
        .twilio("CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed&RecordingUrl=https%3A%2F%2Fapi.example%2FRE1")
        .await;
    bench
        .twilio("CallSid=CA2&ParentCallSid=CA1&CallStatus=in-progress&Direction=outbound-dial&To=%2B39023333333")
        .await;
    let items = bench.kept.items();
    assert_eq!(items.len(), 3);
    for item in &items[1..] {
        assert_eq!((item.contact_id, item.case_id), (items[0].contact_id, items[0].case_id));
        assert_eq!(item.customer.address, None, "the view takes the customer that an event knows");
    }
}

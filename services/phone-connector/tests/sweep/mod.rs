//! The providers' lists against what their webhooks told: contract fakes of three APIs, with the shapes of their documents
//! (twilio.com/docs/voice/api/call-resource, developer.aircall.io "List all calls", developer.vonage.com "Reports API").

use crate::common::config;
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, Uri},
    routing::get,
};
use outcry_domain::{CallEventKind, Direction, Item, Timestamp};
use outcry_phone_connector::sweep::{Found, Sweep, Told};
use outcry_runtime::install_crypto_provider;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Pages by path and query, behind `user:password`; and what was asked.
#[derive(Clone, Default)]
struct Fake {
    pages: Arc<Mutex<HashMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn answer(
    State(fake): State<Fake>,
    headers: HeaderMap,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    // user:password
    if headers.get("authorization").is_none_or(|given| given != "Basic dXNlcjpwYXNzd29yZA==") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    fake.asked.lock().unwrap().push(uri.to_string());
    let part = query.get("page").or(query.get("Page")).or(query.get("cursor")).or(query.get("direction"));
    let key = format!("{} {}", uri.path(), part.map_or("", String::as_str));
    fake.pages.lock().unwrap().get(&key).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

impl Fake {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/{*rest}", get(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    fn page(&self, key: &str, page: Value) {
        self.pages.lock().unwrap().insert(key.to_owned(), page);
    }
}

/// 2026-03-01, the whole day.
fn day() -> (Timestamp, Timestamp) {
    (Timestamp::from_seconds(1_772_323_200), Timestamp::from_seconds(1_772_409_600))
}

fn sweep(provider: &str, base_url: &str, password: &str, told: &Arc<Told>) -> Sweep {
    install_crypto_provider();
    let account = json!({ "name": "listed", "brand": "acme", "provider": provider, "secret": "token", "region": "IT",
        "api_user": "user", "api_password": password, "base_url": base_url });
    let config = config("127.0.0.1:1", "t.", &json!({ "accounts": [account] }));
    Sweep::open(&config, &config.phone.accounts[0], Arc::clone(told)).unwrap().unwrap()
}

/// Once, then again with one of the calls told by a webhook.
async fn twice(provider: &str, fake: &Fake, told_call: &str) -> (Found, Found) {
    let (told, base) = (Arc::<Told>::default(), fake.serve().await);
    let (from, until) = day();
    let sweep = sweep(provider, &base, "password", &told);
    let first = sweep.compare(from, until, until).await.unwrap();
    let by_webhook = |item: &&Item| item.call.as_ref().is_some_and(|call| call.call_id == told_call);
    first.items.iter().filter(by_webhook).for_each(|item| told.remember(item));
    let second = sweep.compare(from, until, until).await.unwrap();
    for item in &second.items {
        assert!(first.items.iter().any(|before| before.item_id == item.item_id), "the same record is the same item");
        assert!(item.call.as_ref().is_some_and(|call| call.provider_event.starts_with("list ")));
    }
    (first, second)
}

fn counts(found: &Found) -> (u64, u64, u64) {
    (found.coverage.listed, found.coverage.produced, found.coverage.missing)
}

#[tokio::test]
async fn what_no_webhook_told_is_made_from_twilios_list_page_after_page() {
    let fake = Fake::default();
    let call = |sid: &str, parent: Value, direction: &str, status: &str, start: &str, duration: &str| {
        json!({ "sid": sid, "parent_call_sid": parent, "direction": direction, "from": "+390212345678", "to": "+39021111111", "status": status,
            "start_time": format!("Sun, 01 Mar 2026 {start} +0000"), "end_time": "Sun, 01 Mar 2026 12:10:00 +0000", "duration": duration,
            "price": "-0.02", "price_unit": "USD", "answered_by": null })
    };
    let path = "/2010-04-01/Accounts/user/Calls.json";
    // The link leads elsewhere; the password must not go there.
    fake.page(
        &format!("{path} "),
        json!({ "calls": [call("CA1", Value::Null, "inbound", "completed", "12:00:00", "600"),
                          call("CA2", json!("CA1"), "outbound-dial", "completed", "12:02:00", "420")],
                "next_page_uri": format!("http://elsewhere.example{path}?Page=1") }),
    );
    // The filter of the list knows days only: the last one began before the window.
    let before = json!({ "sid": "CA0", "status": "completed", "direction": "inbound", "start_time": "Sat, 28 Feb 2026 12:00:00 +0000" });
    let (busy, odd) = (
        call("CA3", Value::Null, "outbound-api", "busy", "13:00:00", "0"),
        json!({ "sid": "", "status": "completed" }),
    );
    fake.page(&format!("{path} 1"), json!({ "calls": [busy, before, odd], "next_page_uri": null }));
    let (first, second) = twice("twilio", &fake, "CA3").await;
    assert_eq!((counts(&first), counts(&second)), ((4, 3, 1), (4, 3, 1)));
    assert_eq!((first.items.len(), second.items.len()), (3, 2));
    assert_eq!(first.coverage.scope, "list of Twilio's calls");
    let whole = first.items[0].call.as_ref().unwrap();
    assert_eq!(
        (whole.event, whole.duration_ms, whole.cost.as_deref()),
        (CallEventKind::Ended, Some(600_000), Some("0.02 USD"))
    );
    assert_eq!(whole.started_at.unwrap().to_string(), "2026-03-01T12:00:00.000Z");
    assert_eq!(first.items[0].customer.address.as_deref(), Some("+390212345678"));
    let leg = first.items[1].call.as_ref().unwrap();
    assert_eq!((leg.call_id.as_str(), leg.leg_id.as_deref(), leg.talk_ms), ("CA1", Some("CA2"), Some(420_000)));
    assert_eq!(leg.answered_at.unwrap().to_string(), "2026-03-01T12:03:00.000Z");
    let busy = first.items[2].call.as_ref().unwrap();
    assert_eq!((busy.cause.as_deref(), first.items[2].direction), (Some("busy"), Direction::Outbound));
    let asked = fake.asked.lock().unwrap().clone();
    assert!(asked[0].contains("StartTime%3E=2026-03-01") && asked[0].contains("StartTime%3C=2026-03-03"), "{asked:?}");
}

#[tokio::test]
async fn what_no_webhook_told_is_made_from_aircalls_list() {
    let fake = Fake::default();
    let call = |id: u64, answered: Value| {
        json!({ "id": id, "direction": "inbound", "status": "done", "started_at": 1_772_366_400, "answered_at": answered, "ended_at": 1_772_366_500,
            "duration": 100, "raw_digits": "+39 02 1234 5678", "number": { "name": "Care", "digits": "+39 02 1111111" },
            "missed_call_reason": if answered.is_null() { json!("agents_did_not_answer") } else { Value::Null }, "user": { "name": "Ana" } })
    };
    fake.page("/v1/calls ", json!({ "meta": { "next_page_link": "https://api.aircall.io/v1/calls?page=2" }, "calls": [call(7, json!(1_772_366_410))] }));
    fake.page("/v1/calls 2", json!({ "meta": { "next_page_link": null }, "calls": [call(8, Value::Null)] }));
    let (first, second) = twice("aircall", &fake, "7").await;
    assert_eq!((counts(&first), counts(&second)), ((2, 2, 0), (2, 2, 0)));
    assert_eq!((first.items.len(), second.items.len()), (2, 1));
    let call = first.items[0].call.as_ref().unwrap();
    assert_eq!((call.talk_ms, call.wait_ms, call.agent.as_deref()), (Some(90_000), Some(10_000), Some("Ana")));
    assert_eq!(second.coverage.note.as_deref(), Some("1 calls came from the list and not by webhook"));
}

#[tokio::test]
async fn what_no_webhook_told_is_made_from_vonages_reports_of_both_directions() {
    let fake = Fake::default();
    let leg = |id: &str, direction: &str, status: &str| {
        json!({ "call_id": id, "conversation_id": "CON-1", "direction": direction, "from": "390212345678", "to": "39021111111", "status": status,
            "date_start": "2026-03-01T12:00:00+0000", "date_end": "2026-03-01T12:05:00+0000", "duration": "300", "total_price": "0.0345", "currency": "EUR" })
    };
    let path = "/v2/reports/records";
    fake.page(&format!("{path} inbound"), json!({ "records": [leg("u1", "inbound", "ANSWERED")], "_links": {} }));
    fake.page(
        &format!("{path} outbound"),
        json!({ "records": [leg("u2", "outbound", "ANSWERED")], "_links": { "next": { "href": "https://api.nexmo.com/v2/reports/records?cursor=2" } } }),
    );
    fake.page(&format!("{path} 2"), json!({ "records": [leg("u3", "outbound", "BUSY")] }));
    let (first, _) = twice("vonage", &fake, "nobody").await;
    assert_eq!(counts(&first), (3, 3, 0));
    let calls: Vec<_> = first.items.iter().map(|item| item.call.as_ref().unwrap()).collect();
    assert!(calls.iter().all(|call| call.call_id == "CON-1" && call.event == CallEventKind::Ended));
    assert_eq!((calls[1].talk_ms, calls[1].cost.as_deref()), (Some(300_000), Some("0.0345 EUR")));
    assert_eq!(calls[2].cause.as_deref(), Some("busy"));
    assert_eq!(calls[0].ended_at.unwrap().to_string(), "2026-03-01T12:05:00.000Z");
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_not_the_password() {
    let (fake, told) = (Fake::default(), Arc::<Told>::default());
    let (from, until) = day();
    let base = fake.serve().await;
    let refused = sweep("aircall", &base, "a wrong one", &told).compare(from, until, until).await;
    let error = format!("{:#}", refused.err().unwrap());
    assert!(error.contains("copy both again") && !error.contains("a wrong one"), "{error}");
    let nothing = sweep("aircall", &base, "password", &told).compare(from, until, until).await;
    assert!(format!("{:#}", nothing.err().unwrap()).contains("404"));
}

//! Generated calls of every provider in the real `calls` view: whatever the order and the repetition of their events, the same rows, and
//! rows that are true.
//!
//! `OUTCRY_GENERATED_CALLS=10000 cargo test -p outcry-phone-connector --test kafka calls:: -- --nocapture` for the published figure.

mod generate;

use generate::{Plan, STORIES, Story, tell};
use http::{HeaderMap, HeaderValue, Method};
use outcry_domain::{classification::*, *};
use outcry_phone_connector::{
    config::Account,
    item::{Raw, Source},
    number::Numbers,
    provider::{self, Inbound},
};
use outcry_sandbox::{Stack, shared_stack};
use outcry_warehouse::{Batch, ClickHouseConfig, InsertResult, Row, Warehouse};
use outcry_webhook::Webhook;
use serde_json::{Value, json};
use std::collections::HashMap;

const PROVIDERS: [&str; 7] = ["twilio", "vonage", "aircall", "telnyx", "zammad_cti", "standard", "asterisk"];
/// 2026-03-01T09:00:00Z.
const FIRST: i64 = 1_772_355_600;

/// The same numbers every time (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

fn account(provider: &str) -> Account {
    let secret = match provider {
        "standard" => "whsec_b25lIHNlY3JldCBvZiAyNCBieXRlcw==",
        "telnyx" => "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=",
        _ => "token",
    };
    let account = json!({ "name": provider, "brand": "acme", "provider": provider, "secret": secret, "region": "IT" });
    serde_json::from_value(account).unwrap()
}

/// The items of one call, as the connector makes them.
fn items(provider: &str, plan: &Plan, parser: &dyn provider::Provider, source: &Source) -> Vec<Item> {
    let media_type = if provider == "twilio" { "application/x-www-form-urlencoded" } else { "application/json" };
    let mut items = Vec::new();
    for (number, sent) in tell(provider, plan).into_iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(media_type));
        let delivery = format!("{}-{number}", plan.id);
        headers.insert("i-twilio-idempotency-token", HeaderValue::from_str(&delivery).unwrap());
        let received_at = Timestamp::from_seconds(sent.second + 1);
        let (method, path, query) = (Method::POST, String::new(), None);
        let webhook = Webhook { method, path, query, headers, body: sent.body.into_bytes().into(), received_at };
        let inbound = Inbound { webhook: &webhook, url: "", path_token: None, now: received_at };
        let raw = Raw::of(&webhook.body);
        let facts = parser.parse(&inbound).unwrap();
        items.extend(facts.into_iter().map(|fact| source.item(fact, &raw, received_at, received_at)));
    }
    items
}

fn classified(item: Item) -> ClassifiedItem {
    fn scored<T>(label: T) -> Scored<T> {
        Scored { label, confidence: 0.5 }
    }
    let classification = Classification {
        classifier_version: "0.1.0+t1+rules".into(),
        language: scored("en".into()),
        kind: scored(Kind::Complaint),
        category: scored(Category::Delivery),
        secondary_categories: Vec::new(),
        subcategory: None,
        labels: Default::default(),
        urgency: scored(Urgency::Normal),
        urgency_score: 30,
        sentiment: scored(Sentiment::Negative),
        amounts: Vec::new(),
        needs_review: false,
        evidence: Vec::new(),
    };
    ClassifiedItem { item, classification }
}

async fn open(stack: &Stack) -> Warehouse {
    let database = stack.fresh_database().await.unwrap();
    let connect = |user: &str, password: &str| {
        Warehouse::connect(&ClickHouseConfig {
            url: stack.clickhouse().url.clone(),
            database: database.clone(),
            username: user.into(),
            password: password.into(),
        })
        .unwrap()
    };
    let passwords = &stack.clickhouse().passwords;
    connect("migrator", &passwords.migrator).migrate().await.unwrap();
    connect("sink", &passwords.sink)
}

/// Stores them in that order, in batches as the sink makes them.
async fn store(warehouse: &Warehouse, rows: &[ClassifiedItem]) {
    let topic = "outcry.items.classified";
    let fence = warehouse.take_fence(topic, 0).await.unwrap();
    let mut offset = 0;
    for chunk in rows.chunks(20_000) {
        let mut batch = Batch::new(ClassifiedItem::TABLE, topic, 1, 0);
        for row in chunk {
            batch.push(offset, row);
            offset += 1;
        }
        assert_eq!(warehouse.insert(&batch, &fence).await, InsertResult::Stored);
    }
}

fn plan(provider: &str, number: u64, random: &mut Random) -> Plan {
    Plan {
        id: if provider == "aircall" { (1_000_000 + number).to_string() } else { format!("{provider}-{number}") },
        story: STORIES[(number % STORIES.len() as u64) as usize],
        start: FIRST + random.below(1_000_000) as i64,
        wait: 10 + random.below(200) as i64,
        talk: [5 + random.below(600) as i64, 5 + random.below(600) as i64],
    }
}

/// What is not as it was planned, in words.
fn untrue(provider: &str, plan: &Plan, row: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |name: &str, wanted: Value| {
        if row[name] != wanted {
            wrong.push(format!("{name} is {}, not {wanted}", row[name]));
        }
    };
    check("direction", json!(if plan.inbound() { "inbound" } else { "outbound" }));
    check("taken", json!(plan.taken()));
    check("over", json!(true));
    // Vonage has neither queues nor mailboxes to tell of.
    let tells = provider != "vonage";
    check("abandoned", json!(tells && plan.story == Story::GivenUp));
    check("transferred", json!(plan.story == Story::HandedOver));
    check("voicemail", json!(tells && plan.story == Story::Message));
    check("known", json!(true));
    if plan.taken() {
        // Of what has no time of its own the receipt counts, a second later.
        let talked = row["talk_seconds"].as_f64().unwrap_or(-1.0);
        if (talked - plan.talked() as f64).abs() > 1.0 {
            wrong.push(format!("talked for {talked} s, not {}", plan.talked()));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_and_repetition_of_a_calls_events_gives_the_same_true_row() {
    let wanted: u64 = std::env::var("OUTCRY_GENERATED_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(70);
    let stack = shared_stack().await;
    let (told, mixed) = (open(stack).await, open(stack).await);
    let mut random = Random(7);
    let (mut plans, mut events) = (HashMap::new(), Vec::new());
    for provider in PROVIDERS {
        let account = account(provider);
        let parser = account.provider().unwrap();
        let source = Source {
            brand: "acme".into(),
            source: format!("phone:{provider}"),
            provider: provider.into(),
            numbers: Numbers::new(account.region(), parser.writing()),
            key: CustomerKey::new(b"test"),
        };
        for number in 0..wanted {
            let plan = plan(provider, number, &mut random);
            events.extend(items(provider, &plan, &*parser, &source).into_iter().map(classified));
            plans.insert((provider.to_owned(), plan.id.clone()), plan);
        }
    }
    store(&told, &events).await;
    let again: Vec<_> =
        (0..events.len() / 2).map(|_| events[random.below(events.len() as u64) as usize].clone()).collect();
    let n_events = events.len();
    events.extend(again);
    random.shuffle(&mut events);
    store(&mixed, &events).await;

    let ask = async |sql: String| stack.clickhouse().query("migrator", &sql).await.unwrap();
    let mut wrong = Vec::new();
    for provider in PROVIDERS {
        let rows = |warehouse: &Warehouse| {
            format!("SELECT * FROM {}.calls WHERE provider = '{provider}'", warehouse.database())
        };
        for (one, other) in [(&told, &mixed), (&mixed, &told)] {
            let differing = ask(format!("SELECT count() FROM ({} EXCEPT {})", rows(one), rows(other))).await;
            assert_eq!(differing.trim(), "0", "{provider}: rows that the order of events changed");
        }
        let question = format!(
            "SELECT call_id, direction, answered_at IS NOT NULL ? true : false AS taken, ended_at IS NOT NULL ? true : false AS over, \
             abandoned, transferred, voicemail, customer_known AS known, talk_seconds FROM {}.calls WHERE provider = '{provider}' FORMAT JSONEachRow",
            mixed.database()
        );
        let answer = ask(question).await;
        assert_eq!(answer.lines().count() as u64, wanted, "{provider}: one row for each call");
        for line in answer.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let plan = &plans[&(provider.to_owned(), row["call_id"].as_str().unwrap().to_owned())];
            wrong.extend(
                untrue(provider, plan, &row).into_iter().map(|what| format!("{provider}, {:?}: {what}", plan.story)),
            );
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong.truncate(60);
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!(
        "{wanted} calls of each of {} providers, {n_events} events, {} with repetitions",
        PROVIDERS.len(),
        events.len()
    );
}

//! Facts to store, and a fresh database to store them in.

use outcry_domain::{classification::*, *};
use outcry_sandbox::{Stack, shared_stack};
use outcry_warehouse::{Batch, ClickHouseConfig, InsertResult, Row, Table, Warehouse};
use serde_json::Value;

pub const BRAND: &str = "acme";

/// A moment, in seconds after noon of a day in March.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(1_772_366_400 + second)
}

/// A migrated database, as each of the three users sees it.
pub struct Opened {
    pub migrator: Warehouse,
    pub sink: Warehouse,
    pub analyst: Warehouse,
    stack: &'static Stack,
}

pub fn connect(stack: &Stack, user: &str, database: &str) -> Warehouse {
    let passwords = &stack.clickhouse().passwords;
    let password = match user {
        "migrator" => &passwords.migrator,
        "analyst" => &passwords.analyst,
        _ => &passwords.sink,
    };
    connect_with(stack, user, password, database)
}

pub fn connect_with(stack: &Stack, user: &str, password: &str, database: &str) -> Warehouse {
    Warehouse::connect(&ClickHouseConfig {
        url: stack.clickhouse().url.clone(),
        database: database.into(),
        username: user.into(),
        password: password.into(),
    })
    .unwrap()
}

impl Opened {
    pub async fn fresh() -> Self {
        let stack = shared_stack().await;
        let database = stack.fresh_database().await.unwrap();
        let open = |user| connect(stack, user, &database);
        let opened = Self { migrator: open("migrator"), sink: open("sink"), analyst: open("analyst"), stack };
        opened.migrator.migrate().await.unwrap();
        opened
    }

    pub async fn as_migrator(&self, sql: &str) {
        let database = self.sink.database();
        let sql = sql.replace("INTO ", &format!("INTO {database}.")).replace("TABLE ", &format!("TABLE {database}."));
        self.stack.clickhouse().query("migrator", &sql).await.unwrap();
    }

    pub async fn store(&self, rows: &[ClassifiedItem]) {
        self.store_from(rows, 0).await;
    }

    pub async fn store_from(&self, rows: &[ClassifiedItem], first_offset: u64) {
        self.insert(&batch("outcry.items.classified", first_offset, rows)).await;
    }

    /// As the sink does it: fence, customers, rows.
    pub async fn insert(&self, batch: &Batch) {
        let fence = self.sink.take_fence(batch.topic(), batch.partition()).await.unwrap();
        assert_eq!(self.sink.insert_customers(batch).await, InsertResult::Stored);
        assert_eq!(self.sink.insert(batch, &fence).await, InsertResult::Stored);
    }

    pub async fn count(&self, table: &str) -> u64 {
        let counted = self.sink.query(&format!("SELECT count() AS n FROM {table}"), &[]).await.unwrap();
        counted_rows(&counted, "n")
    }

    pub async fn call(&self, call_id: &str) -> Value {
        let sql = "SELECT * FROM calls WHERE call_id = {call:String}";
        let table = self.analyst.query(sql, &[("call", call_id.to_owned())]).await.unwrap();
        assert_eq!(table.rows.len(), 1);
        table.to_json()["rows"][0].clone()
    }
}

pub fn counted_rows(table: &Table, column: &str) -> u64 {
    table.value(0, column).and_then(Value::as_u64).unwrap()
}

pub fn batch<R: Row>(topic: &str, first_offset: u64, rows: &[R]) -> Batch {
    let mut batch = Batch::new(R::TABLE, topic, 1, 0);
    for (offset, row) in (first_offset..).zip(rows) {
        batch.push(offset, row);
    }
    batch
}

fn scored<T>(label: T) -> Scored<T> {
    Scored { label, confidence: 0.5 }
}

fn classified(item: Item) -> ClassifiedItem {
    let own = item.direction == Direction::Outbound;
    let classification = Classification {
        classifier_version: "0.1.0+t1+rules".into(),
        language: scored("en".into()),
        kind: scored(if own { Kind::Own } else { Kind::Complaint }),
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

fn item(channel: Channel, contact: &str, case: &str, time: Timestamp) -> Item {
    let customer = CustomerKey::new(b"test").email(&format!("{case}@example.org"), Some("Ana"));
    Item {
        schema_version: SCHEMA_VERSION,
        item_id: ItemId::new(BRAND, channel, "test", &[contact.as_bytes(), &time.as_millis().to_be_bytes()]),
        contact_id: ContactId::new(BRAND, channel, &[contact.as_bytes()]),
        case_id: CaseId::new(BRAND, case.as_bytes(), customer.customer_id),
        revision: 0,
        brand: BRAND.into(),
        channel,
        source: format!("{}:test", channel.as_str()),
        provider: "test".into(),
        direction: Direction::Inbound,
        author_kind: AuthorKind::Human,
        customer,
        subject: None,
        text: format!("{case} writes"),
        quoted_text: String::new(),
        language: None,
        occurred_at: time,
        received_at: time,
        ingested_at: time,
        effective_at: time,
        clock_suspect: false,
        mail: None,
        call: None,
        post: None,
        origin: Origin::default(),
        unknown_fields: serde_json::Map::new(),
    }
}

/// Mails, told one after the other.
pub struct Facts(Vec<ClassifiedItem>);

impl Facts {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    fn add(mut self, case: &str, second: i64, change: impl FnOnce(&mut Item)) -> Self {
        let message_id = format!("{case}-{second}@acme.example");
        let mut mail = item(Channel::Email, &message_id, case, at(second));
        mail.mail = Some(Mail { message_id, ..Mail::default() });
        change(&mut mail);
        self.0.push(classified(mail));
        self
    }

    pub fn mail(self, case: &str, second: i64) -> Self {
        self.add(case, second, |_| {})
    }

    pub fn answer(self, case: &str, second: i64) -> Self {
        self.add(case, second, |mail| mail.direction = Direction::Outbound)
    }

    pub fn automatic_answer(self, case: &str, second: i64) -> Self {
        self.add(case, second, |mail| {
            mail.direction = Direction::Outbound;
            mail.author_kind = AuthorKind::Automatic;
        })
    }

    pub fn done(self) -> Vec<ClassifiedItem> {
        self.0
    }
}

/// A delivery report about the answer that went out 60 seconds before.
pub fn bounce_of(case: &str, second: i64) -> ClassifiedItem {
    let mut report = item(Channel::Email, "report", case, at(second));
    report.author_kind = AuthorKind::Automatic;
    report.mail = Some(Mail {
        automatic: Some(channel::AutomaticMail::Bounce),
        bounce_of: Some(format!("{case}-{}@acme.example", second - 60)),
        ..Mail::default()
    });
    classified(report)
}

pub fn call_event(call_id: &str, kind: CallEventKind, second: i64) -> ClassifiedItem {
    let mut event = item(Channel::Phone, call_id, call_id, at(second));
    event.revision = at(second).as_millis();
    let words = (kind == CallEventKind::Transcript).then(|| "hello, it is broken".to_owned());
    event.text = words.clone().unwrap_or_default();
    event.author_kind = AuthorKind::Unknown;
    event.call = Some(Call {
        call_id: call_id.into(),
        event: kind,
        agent: matches!(kind, CallEventKind::Answered).then(|| "Bea".into()),
        queue: matches!(kind, CallEventKind::Queued).then(|| "returns".into()),
        transcript: words,
        ..Call::default()
    });
    classified(event)
}

pub fn post(uri: &str, text: &str, second: i64, event: channel::PostEventKind) -> ClassifiedItem {
    let mut version = item(Channel::Social, uri, uri, at(second));
    version.revision = at(second).as_millis();
    version.text = text.into();
    version.post = Some(Post { uri: uri.into(), event, ..Post::default() });
    classified(version)
}

/// An item that fills every column, though no real one is mail, call and post at once. Each text holds the name of its
/// column, so that two of them in each other's place are seen.
pub fn everything() -> ClassifiedItem {
    let named = |name: &str| Some(name.to_owned());
    let mut all = item(Channel::Email, "all", "all", at(0));
    all.customer = CustomerKey::new(b"test").email("ana@example.org", Some("Ana"));
    (all.subject, all.quoted_text, all.language) = (named("subject"), "quoted_text".into(), named("source_language"));
    all.clock_suspect = true;
    all.mail = Some(Mail {
        message_id: "mail_message_id".into(),
        in_reply_to: vec!["mail_in_reply_to".into()],
        references: vec!["mail_references".into()],
        from: "mail_from".into(),
        reply_to: vec!["mail_reply_to".into()],
        to: vec!["mail_to".into()],
        cc: vec!["mail_cc".into()],
        automatic: Some(channel::AutomaticMail::AutoReply),
        list_id: named("mail_list_id"),
        bulk: true,
        bounce_of: named("mail_bounce_of"),
        bounce_status: None,
        calendar: None,
        forwarded_by_staff: true,
        wrapper: named("mail_wrapper"),
        attachments: vec![channel::Attachment {
            name: "a.pdf".into(),
            media_type: "application/pdf".into(),
            size: 7,
            sha256: "00".into(),
        }],
        defects: vec!["mail_defects".into()],
    });
    all.call = Some(Call {
        call_id: "call_id".into(),
        leg_id: named("call_leg_id"),
        event: CallEventKind::Note,
        provider_event: "call_provider_event".into(),
        sequence: Some(-3),
        from: named("call_from"),
        to: named("call_to"),
        queue: named("call_queue"),
        agent: named("call_agent"),
        ivr_choice: named("call_ivr_choice"),
        wait_ms: Some(1),
        talk_ms: Some(2),
        hold_ms: Some(3),
        duration_ms: Some(4),
        answered_at: Some(at(5)),
        ended_at: Some(at(6)),
        started_at: Some(at(7)),
        abandoned: Some(false),
        cause: named("call_cause"),
        recording_url: named("call_recording_url"),
        transcript: named("call_transcript"),
        cost: named("call_cost"),
        provider_fields: serde_json::Map::from_iter([("own".to_owned(), true.into())]),
    });
    all.post = Some(Post {
        uri: "post_uri".into(),
        event: channel::PostEventKind::Hidden,
        url: named("post_url"),
        handle: named("post_handle"),
        in_reply_to: named("post_in_reply_to"),
        conversation: named("post_conversation"),
        repost_of: named("post_repost_of"),
        visibility: named("post_visibility"),
        followers: Some(8),
        engagement: Some(9),
        rating: Some(5),
        edited_at: Some(at(10)),
    });
    all.origin = Origin {
        connector: "origin_connector".into(),
        raw_size: 11,
        raw_sha256: "origin_raw_sha256".into(),
        backfill: true,
        truncated: true,
        location: named("origin_location"),
    };
    all.unknown_fields.insert("later".into(), 1.into());
    let mut all = classified(all);
    all.classification.secondary_categories = vec![Scored { label: Category::Delivery, confidence: 0.25 }];
    all.classification.subcategory = Some(scored("parcel".into()));
    all.classification.amounts = vec![Amount { value: "49.90".into(), currency: "EUR".into() }];
    all.classification.evidence = vec![Evidence {
        axis: "urgency".into(),
        label: "critical".into(),
        field: Field::Text,
        start: 0,
        end: 3,
        signal: "safety.injury".into(),
        weight: 1.0,
    }];
    all
}

pub fn case_event(case_id: CaseId, second: i64, action: CaseAction) -> CaseEvent {
    CaseEvent {
        schema_version: SCHEMA_VERSION,
        event_id: EventId::new(BRAND, case_id, format!("{second}").as_bytes()),
        case_id,
        brand: BRAND.into(),
        occurred_at: at(second),
        ingested_at: at(second),
        actor: Some("Bea".into()),
        action,
        unknown_fields: serde_json::Map::new(),
    }
}

pub fn coverage(missing: u64) -> Coverage {
    Coverage {
        schema_version: SCHEMA_VERSION,
        brand: BRAND.into(),
        channel: Channel::Email,
        source: "email:test".into(),
        scope: "INBOX".into(),
        window_start: at(0),
        window_end: at(60),
        listed: 10 + missing,
        produced: 10,
        missing,
        missing_examples: vec!["UID 7".into()],
        note: None,
        checked_at: at(61),
        unknown_fields: serde_json::Map::new(),
    }
}

pub fn dead_letter() -> DeadLetter {
    DeadLetter {
        service: "classifier".into(),
        reason: "undecodable".into(),
        detail: "expected value at line 1".into(),
        origin: "outcry.items.raw".into(),
        partition: 0,
        offset: 7,
        received_at: at(0),
        refused_at: at(1),
    }
}

//! A notifier on topics of its own and with a mail server of its own.

use outcry_domain::{
    AuthorKind, Brand, CaseId, Channel, Classification, ClassifiedItem, ContactId, CustomerKey, Direction, Item,
    ItemId, Mail, Origin, SCHEMA_VERSION,
    classification::{Category, Kind, RECLASSIFIED_HEADER, Scored, Sentiment, Urgency},
};
use outcry_kafka::{Outgoing, Publisher, Topic, ensure_topics};
use outcry_notifier::Config;
use outcry_runtime::{Clock, Context, ServiceConfig, SystemClock};
use outcry_sandbox::{
    ReceivedMail, SmtpOptions, SmtpServer, TopicRecord, fresh_prefix, read_topic_until, shared_stack, wait_until,
};
use serde::de::DeserializeOwned;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

pub struct Notifier {
    config: Config,
    publisher: Publisher,
    pub smtp: SmtpServer,
    kept: Mutex<Vec<ReceivedMail>>,
}

pub struct Run {
    context: Context,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Run {
    pub async fn stop(self) {
        self.context.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended.expect("the notifier does not stop").expect("the notifier panicked").expect("the notifier failed");
    }
}

impl Notifier {
    pub async fn new(more: &str) -> Self {
        Self::with_smtp("", more).await
    }

    /// With more lines of `[notifier.smtp]`.
    pub async fn with_smtp(smtp_lines: &str, more: &str) -> Self {
        let stack = shared_stack().await;
        let smtp = SmtpServer::start(SmtpOptions::default()).unwrap();
        let kafka = stack.config_toml(&fresh_prefix(), "unused");
        let kafka = kafka.split("[clickhouse]").next().unwrap();
        let port = smtp.port();
        let config: Config = toml::from_str(&format!(
            "{kafka}[[brands]]\nid = \"acme\"\nname = \"Acme\"\nlanguages = [\"it\"]\nown_domains = [\"acme.example\"]\n\
             [notifier.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             from = \"Acme Care <care@acme.example>\"\n{smtp_lines}[notifier.acknowledgements]\nenabled = true\n{more}"
        ))
        .unwrap();
        config.validate().unwrap();
        ensure_topics(&config.kafka).await.unwrap();
        let publisher = Publisher::new(&config.kafka, "test").unwrap();
        Self { config, publisher, smtp, kept: Mutex::default() }
    }

    pub fn start(&self) -> Run {
        let context = Context::for_tests();
        let task = tokio::spawn(outcry_notifier::run(self.config.clone(), context.clone()));
        Run { context, task }
    }

    pub async fn put(&self, item: &ClassifiedItem) {
        let key = item.item.case_id.to_string();
        self.publisher.publish_json(Topic::ItemsClassified, &key, item).await.unwrap();
    }

    pub async fn put_reclassified(&self, item: &ClassifiedItem) {
        let mark = (RECLASSIFIED_HEADER.to_owned(), b"2".to_vec());
        let record = Outgoing {
            topic: self.config.kafka.topic_name(Topic::ItemsClassified),
            key: item.item.case_id.to_string().into_bytes(),
            payload: serde_json::to_vec(item).unwrap(),
            headers: vec![mark],
        };
        self.publisher.publish_record(record).await.unwrap();
    }

    /// The keys of a topic, as soon as `enough`.
    pub async fn keys_until(&self, topic: Topic, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let (kafka, key) = (&self.config.kafka, |record: &TopicRecord| String::from_utf8(record.key.clone()).unwrap());
        read_topic_until(&kafka.bootstrap_servers, &kafka.topic_name(topic), key, enough).await
    }

    pub async fn put_garbage(&self) {
        self.publisher.publish(Topic::ItemsClassified, "x", b"{\"item\":\xff".to_vec()).await.unwrap();
    }

    /// Every partition is read to its end: a mail put last into each of them was answered.
    pub async fn caught_up(&self) {
        static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
        let mut markers = Vec::new();
        // Keys spread over the partitions at random; so many miss one of them practically never.
        for _ in 0..40 {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut marker = classified(&format!("marker{number}@shop.example"), number, "en");
            marker.item.subject = Some("marker".into());
            self.put(&marker).await;
            markers.push(marker.item.mail.unwrap().from);
        }
        let answered = |mail: &ReceivedMail| mail.to.iter().any(|to| markers.contains(to));
        let all = || self.smtp.received().iter().filter(|mail| answered(mail)).count() >= markers.len();
        assert!(wait_until(all).await, "the notifier does not catch up");
        self.kept.lock().unwrap().extend(self.smtp.take().into_iter().filter(|mail| !answered(mail)));
    }

    /// What the mail server has, without the markers.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.kept.lock().unwrap().iter().cloned().chain(self.smtp.received()).collect()
    }

    pub async fn read_until<T: DeserializeOwned + Send + 'static>(
        &self,
        topic: Topic,
        enough: impl Fn(&[T]) -> bool,
    ) -> Vec<T> {
        let (kafka, parsed) =
            (&self.config.kafka, |record: &TopicRecord| serde_json::from_slice(&record.payload).unwrap());
        read_topic_until(&kafka.bootstrap_servers, &kafka.topic_name(topic), parsed, enough).await
    }
}

pub fn text(mail: &ReceivedMail) -> String {
    String::from_utf8(mail.data.clone()).unwrap()
}

/// A customer's first mail, a minute old.
pub fn classified(from: &str, number: u64, language: &str) -> ClassifiedItem {
    let customer = CustomerKey::new(b"k").email(from, None);
    let at = SystemClock.now().minus(Duration::from_secs(60));
    let message_id = format!("m{number}@shop.example");
    let brand: Brand = serde_json::from_str(r#"{"id":"acme","name":"Acme"}"#).unwrap();
    ClassifiedItem {
        item: Item {
            schema_version: SCHEMA_VERSION,
            item_id: ItemId(u128::from(number) << 8),
            contact_id: ContactId(u128::from(number)),
            case_id: CaseId::new(&brand.id, message_id.as_bytes(), customer.customer_id),
            revision: 0,
            brand: brand.id,
            channel: Channel::Email,
            source: "email:support".into(),
            provider: "imap".into(),
            direction: Direction::Inbound,
            author_kind: AuthorKind::Human,
            customer,
            subject: Some("Broken parcel".into()),
            text: "My parcel came broken".into(),
            quoted_text: String::new(),
            language: None,
            occurred_at: at,
            received_at: at,
            ingested_at: at,
            effective_at: at,
            clock_suspect: false,
            mail: Some(Mail { message_id, from: from.into(), to: vec!["care@acme.example".into()], ..Mail::default() }),
            call: None,
            post: None,
            origin: Origin::default(),
            unknown_fields: serde_json::Map::new(),
        },
        classification: Classification {
            classifier_version: "test".into(),
            language: Scored { label: language.to_owned(), confidence: 0.9 },
            kind: Scored { label: Kind::Complaint, confidence: 0.9 },
            category: Scored { label: Category::Delivery, confidence: 0.9 },
            secondary_categories: Vec::new(),
            subcategory: None,
            labels: Default::default(),
            urgency: Scored { label: Urgency::Normal, confidence: 0.9 },
            urgency_score: 40,
            sentiment: Scored { label: Sentiment::Negative, confidence: 0.9 },
            amounts: Vec::new(),
            needs_review: false,
            evidence: Vec::new(),
        },
    }
}

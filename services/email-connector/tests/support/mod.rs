//! A connector on topics of its own, and what it left there.
#![allow(dead_code, reason = "each test file uses a part of it")]

use outcry_email_connector::Config;
use outcry_kafka::{Topic, ensure_topics};
use outcry_runtime::{Context, ServiceConfig};
use outcry_sandbox::{Stack, TopicRecord, fresh_prefix, read_topic_until, shared_stack, wait_until};
use serde::de::DeserializeOwned;
use std::{sync::Mutex, time::Duration};
use tokio::task::JoinHandle;

pub struct Connector {
    pub config: Config,
    context: Mutex<Context>,
}

pub struct Run {
    context: Context,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Run {
    /// Asks it to stop, and expects that it does, without an error.
    pub async fn stop(self) {
        self.context.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(25), self.task).await;
        ended.expect("the connector does not stop").expect("the connector panicked").expect("the connector failed");
    }

    /// Ends it at once, as a crash does: nothing is flushed or saved.
    pub async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.is_err(), "it ended by itself");
    }
}

/// A message of its own for every number.
pub fn message(number: usize) -> Vec<u8> {
    format!(
        "From: Customer {number} <customer{number}@example.org>\r\nTo: help@acme.example\r\nSubject: Order {number}\r\n\
         Date: Mon, 2 Mar 2026 10:00:00 +0000\r\nMessage-ID: <m{number}@example.org>\r\n\r\nParcel number {number}. is late.\r\n"
    )
    .into_bytes()
}

impl Connector {
    /// `mailbox` is the rest of a `[[email.mailboxes]]` entry after name and brand.
    pub async fn new(mailbox: &str) -> Self {
        outcry_runtime::install_crypto_provider();
        let stack: &'static Stack = shared_stack().await;
        let kafka = stack.config_toml(&fresh_prefix(), "unused");
        let kafka = kafka.split("[clickhouse]").next().unwrap();
        let config: Config = toml::from_str(&format!(
            "{kafka}[identity]\nkey = \"test\"\n[[brands]]\nid = \"acme\"\nname = \"Acme\"\nown_domains = [\"acme.example\"]\n\
             [[email.mailboxes]]\nname = \"support\"\nbrand = \"acme\"\n{mailbox}\n"
        ))
        .unwrap();
        config.validate().unwrap();
        ensure_topics(&config.kafka).await.unwrap();
        Self { config, context: Mutex::new(Context::for_tests()) }
    }

    /// Starts the service as its `main` does.
    pub fn start(&self) -> Run {
        let context = Context::for_tests();
        *self.context.lock().unwrap() = context.clone();
        let task = tokio::spawn(outcry_email_connector::run(self.config.clone(), context.clone()));
        Run { context, task }
    }

    /// What the health page says, as soon as it says `part`; with an empty `part`, as soon as all is well.
    pub async fn wait_for_health(&self, part: &str) {
        let problems = || -> Vec<String> { self.context.lock().unwrap().health.problems().into_values().collect() };
        let says = || match part {
            "" => problems().is_empty(),
            part => problems().iter().any(|problem| problem.contains(part)),
        };
        assert!(wait_until(says).await, "the health page does not say {part:?}: {:?}", problems());
    }

    /// The values of a topic from its start, as soon as `enough`, and a little longer: more would show.
    pub async fn read_until<T: DeserializeOwned + Send + 'static>(
        &self,
        topic: Topic,
        enough: impl Fn(&[T]) -> bool,
    ) -> Vec<T> {
        self.records_until(topic, |record| serde_json::from_slice(&record.payload).unwrap(), enough).await
    }

    /// Reasons in dead letters.
    pub async fn refusals(&self, count: usize) -> Vec<String> {
        let reason =
            |record: &TopicRecord| format!("{}: {}", record.header("outcry.reason"), record.header("outcry.detail"));
        self.records_until(Topic::DeadLetters, reason, |letters| letters.len() >= count).await
    }

    async fn records_until<T: Send + 'static>(
        &self,
        topic: Topic,
        read: impl Fn(&TopicRecord) -> T + Send + 'static,
        enough: impl Fn(&[T]) -> bool,
    ) -> Vec<T> {
        let kafka = &self.config.kafka;
        read_topic_until(&kafka.bootstrap_servers, &kafka.topic_name(topic), read, enough).await
    }
}

//! A connector on topics of its own, and what it left there.

mod front;

pub use front::{API_401, API_404, Front, PROXY_404};

use outcry_kafka::{Topic, ensure_topics};
use outcry_runtime::{Context, ServiceConfig};
use outcry_sandbox::{MastodonServer, TopicRecord, fresh_prefix, read_topic_until, shared_stack, wait_until};
use outcry_social_connector::Config;
use serde::de::DeserializeOwned;
use std::{sync::Mutex, time::Duration};
use tokio::task::JoinHandle;

pub struct Connector {
    config: Config,
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
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended.expect("the connector does not stop").expect("the connector panicked").expect("the connector failed");
    }
}

impl Run {
    /// Ends it at once, as a crash does: nothing is flushed or saved.
    pub async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.is_err(), "it ended by itself");
    }
}

impl Connector {
    pub async fn new(server: &MastodonServer) -> Self {
        Self::with_token(server, &server.token()).await
    }

    pub async fn with_token(server: &MastodonServer, token: &str) -> Self {
        Self::at(server.base_url(), token).await
    }

    pub async fn at(base_url: &str, token: &str) -> Self {
        outcry_runtime::install_crypto_provider();
        let stack = shared_stack().await;
        let kafka = stack.config_toml(&fresh_prefix(), "unused");
        let kafka = kafka.split("[clickhouse]").next().unwrap();
        let config: Config = toml::from_str(&format!(
            "{kafka}[identity]\nkey = \"test\"\n[[brands]]\nid = \"acme\"\nname = \"Acme\"\n\
             [social]\npoll_interval_seconds = 1\nrecheck_interval_seconds = 1\n\
             [[social.accounts]]\nname = \"acme\"\nbrand = \"acme\"\nnetwork = \"mastodon\"\n\
             base_url = \"{base_url}\"\ntoken = \"{token}\"\n"
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
        let task = tokio::spawn(outcry_social_connector::run(self.config.clone(), context.clone()));
        Run { context, task }
    }

    pub fn problems(&self) -> Vec<String> {
        self.context.lock().unwrap().health.problems().into_values().collect()
    }

    /// The health page says nothing, at the latest when the pass that brought the items has ended.
    pub async fn wait_until_well(&self) {
        let well = wait_until(|| self.problems().is_empty()).await;
        assert!(well, "not well again: {:?}", self.problems());
    }

    /// What the health page says, as soon as it says `part`.
    pub async fn wait_for_problem(&self, part: &str) -> String {
        let problem = || self.problems().into_iter().find(|problem| problem.contains(part));
        let mut found = None;
        wait_until(|| {
            found = problem();
            found.is_some()
        })
        .await;
        found.unwrap_or_else(|| panic!("the health page does not say {part:?}: {:?}", self.problems()))
    }

    /// Reads a topic from its start until it holds `count` records, then a little longer: more would be too many.
    pub async fn read<T: DeserializeOwned + Send + 'static>(&self, topic: Topic, count: usize) -> Vec<T> {
        let found = self.read_until(topic, |records| records.len() >= count).await;
        assert_eq!(found.len(), count, "records in {topic:?}");
        found
    }

    /// Reads a topic from its start until `enough`, or patience ends.
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

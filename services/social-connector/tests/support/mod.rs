//! A connector on topics of its own, and what it left there.

mod front;

pub use front::{API_401, API_404, Front, PROXY_404};

use outcry_kafka::{Outcome, Publisher, Topic, ensure_topics, for_each_record};
use outcry_runtime::{Context, ServiceConfig};
use outcry_sandbox::{MastodonServer, fresh_prefix, shared_stack};
use outcry_social_connector::Config;
use serde::de::DeserializeOwned;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

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
        let started = Instant::now();
        while !self.problems().is_empty() {
            assert!(started.elapsed() < PATIENCE, "not well again: {:?}", self.problems());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the health page says, as soon as it says `part`.
    pub async fn wait_for_problem(&self, part: &str) -> String {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(problem) = self.problems().into_iter().find(|problem| problem.contains(part)) {
                return problem;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the health page does not say {part:?}: {:?}", self.problems());
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
        static READERS: AtomicU32 = AtomicU32::new(0);
        let group = format!("reader-{}", READERS.fetch_add(1, Ordering::Relaxed));
        let (context, kafka) = (Context::for_tests(), self.config.kafka.clone());
        let found: Arc<Mutex<Vec<T>>> = Arc::default();
        let (keep, stop) = (found.clone(), context.shutdown.clone());
        let reading = tokio::spawn(async move {
            let publisher = Publisher::new(&kafka, "test").unwrap();
            let handler = move |record: outcry_kafka::Record| {
                keep.lock().unwrap().push(serde_json::from_slice(&record.payload).unwrap());
                async { Outcome::Done }
            };
            for_each_record(&kafka, &group, &[topic], &publisher, &context, handler).await
        });
        let started = Instant::now();
        while !enough(&found.lock().unwrap()) && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.cancel();
        reading.await.unwrap().unwrap();
        std::mem::take(&mut *found.lock().unwrap())
    }
}

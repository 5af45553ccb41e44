//! A pipeline of its own on the local stack: topics with a fresh prefix, a fresh migrated database, one configuration file,
//! and the services that a test chooses.

use crate::{Binary, Difference, Generator, View, difference};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use outcry_kafka::{KafkaConfig, Publisher, Topic};
use outcry_sandbox::{Stack, fresh_prefix};
use outcry_warehouse::ClickHouseConfig;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a service may take to say that it is ready on a busy machine.
pub const READY: Duration = Duration::from_secs(40);
/// How many records are on their way to the broker at once.
const IN_FLIGHT: usize = 2_000;

/// The brand and the customers' key: what every configuration begins with.
pub const COMMON: &str = r#"
[[brands]]
id = "acme"
name = "Acme"
own_domains = ["acme.example"]

[identity]
key = "key of the tests, of no installation"
"#;
/// Not needed without SASL, and a secret all the same: no log may show it.
pub const KAFKA_PASSWORD: &str = "canary-of-the-kafka-password";
/// Tests do not wait for batches to fill.
const SHORT_BATCHES: &str = "\n[sink]\nflush_interval_ms = 200\n";

/// The pipeline. Its services end with it.
pub struct Pipeline<'a> {
    stack: &'a Stack,
    prefix: String,
    database: String,
    // Before the folder, which holds their logs: they are dropped in this order.
    services: BTreeMap<&'static str, Binary>,
    folder: tempfile::TempDir,
}

impl<'a> Pipeline<'a> {
    /// Topics, database, schema and the configuration file; `sections` is TOML beyond `[kafka]`, `[clickhouse]` and
    /// [`COMMON`], in which `{folder}` is the pipeline's own folder. Nothing runs yet.
    pub async fn prepare(stack: &'a Stack, sections: &str) -> Result<Self> {
        Self::prepare_for_benchmark(stack, &format!("{SHORT_BATCHES}{sections}")).await
    }

    /// [`Pipeline::prepare`] with batches as an installation has them.
    pub async fn prepare_for_benchmark(stack: &'a Stack, sections: &str) -> Result<Self> {
        let prefix = fresh_prefix();
        let database = stack.fresh_database().await?;
        let folder = tempfile::tempdir().context("making a folder for the configuration and the logs")?;
        let pipeline = Self { stack, prefix, database, folder, services: BTreeMap::new() };
        outcry_kafka::ensure_topics(&pipeline.kafka()).await?;
        outcry_warehouse::migrate(&pipeline.warehouse_config("migrator")).await?;
        // A restarted service takes its partitions back at once instead of after the session timeout.
        let kafka =
            format!("[kafka]\ninstance_id = \"one\"\nsession_timeout_ms = 6000\npassword = \"{KAFKA_PASSWORD}\"\n");
        let base = stack.config_toml(&pipeline.prefix, &pipeline.database).replacen("[kafka]\n", &kafka, 1);
        let sections = sections.replace("{folder}", &pipeline.folder.path().display().to_string());
        std::fs::write(pipeline.config(), format!("{base}{COMMON}{sections}")).context("writing the configuration")?;
        Ok(pipeline)
    }

    /// The stack under it.
    pub fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// The configuration file, which holds the sections of every service.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("outcry.toml")
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How to reach the broker.
    pub fn kafka(&self) -> KafkaConfig {
        KafkaConfig::new(self.stack.bootstrap(), self.prefix.clone())
    }

    fn warehouse_config(&self, user: &str) -> ClickHouseConfig {
        let endpoint = self.stack.clickhouse();
        let password = self.password(user);
        ClickHouseConfig {
            url: endpoint.url.clone(),
            database: self.database.clone(),
            username: user.to_owned(),
            password: password.into(),
        }
    }

    fn password(&self, user: &str) -> &str {
        let passwords = &self.stack.clickhouse().passwords;
        match user {
            "migrator" => &passwords.migrator,
            "analyst" => &passwords.analyst,
            _ => &passwords.sink,
        }
    }

    /// Starts services and waits until all of them are ready.
    pub async fn start(&mut self, names: &[&'static str]) -> Result<()> {
        for name in names {
            self.launch(name)?;
        }
        for name in names {
            self.service(name).wait_ready(READY).await?;
        }
        Ok(())
    }

    /// Starts a service without waiting. The console asks as an analyst, the others as the sink.
    pub fn launch(&mut self, name: &'static str) -> Result<()> {
        let user = if name == "outcry-console" { "analyst" } else { "sink" };
        let environment = [("OUTCRY_CLICKHOUSE__USERNAME", user), ("OUTCRY_CLICKHOUSE__PASSWORD", self.password(user))];
        let service = Binary::start(name, &self.config(), &environment)?;
        self.services.insert(name, service);
        Ok(())
    }

    /// A service that was started.
    ///
    /// # Panics
    /// When it was not.
    pub fn service(&self, name: &str) -> &Binary {
        self.services.get(name).unwrap_or_else(|| panic!("{name} was not started in this pipeline"))
    }

    /// Every service that was started.
    pub fn services(&self) -> impl Iterator<Item = &Binary> {
        self.services.values()
    }

    /// What every service said last and says of its health: for an error, where no test prints it.
    pub async fn last_words(&self) -> String {
        let mut words = String::new();
        for service in self.services() {
            let health = service.health().await.map(|(status, text)| format!("{status} {text}")).unwrap_or_default();
            words.push_str(&format!("--- {}: {health}\n{}\n", service.name(), service.log_end()));
        }
        words
    }

    /// SIGKILL, and the same service again; returns when it is ready.
    pub async fn kill_and_start_again(&self, name: &str) -> Result<()> {
        let service = self.service(name);
        service.kill();
        service.start_again()?;
        service.wait_ready(READY).await
    }

    /// A publisher to the pipeline's topics.
    pub fn publisher(&self) -> Result<Publisher> {
        Ok(Publisher::new(&self.kafka(), "tests")?)
    }

    /// Publishes generated items to the raw topic; gives the ids of those that the broker acknowledged.
    pub async fn publish_items(&self, generator: &Generator, numbers: Range<u64>) -> Result<BTreeSet<String>> {
        let publisher = self.publisher()?;
        stream::iter(numbers)
            .map(|number| {
                let (item, publisher) = (generator.item(number), &publisher);
                async move {
                    publisher.publish_json(Topic::ItemsRaw, &item.case_id.to_string(), &item).await?;
                    Ok(item.item_id.to_string())
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    /// What an analyst sees of it.
    pub fn view(&self) -> View<'a> {
        View::new(self.stack, &self.database)
    }

    /// See [`View::ask`].
    pub async fn ask(&self, question: &str) -> Result<Vec<String>> {
        self.view().ask(question).await
    }

    /// See [`View::ask_as`].
    pub async fn ask_as(&self, user: &str, question: &str) -> Result<Vec<String>> {
        self.view().ask_as(user, question).await
    }

    /// See [`View::number`].
    pub async fn number(&self, question: &str) -> Result<u64> {
        self.view().number(question).await
    }

    /// Asks again until the answer is at least `least`.
    pub async fn wait_for(&self, question: &str, least: u64, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = self.number(question).await?;
            if found >= least {
                return Ok(());
            }
            if begun.elapsed() > patience {
                bail!("{question:?} gave {found} instead of {least} after {patience:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until every acknowledged item is stored, then compares the ledger with the view, item by item.
    pub async fn compare_items(&self, ledger: &BTreeSet<String>, patience: Duration) -> Result<Difference> {
        self.compare(ledger, "SELECT toString(item_id) FROM {db}.items", patience).await
    }

    /// Waits until the view gives as many distinct keys as the ledger has, or `patience` is over, and a little longer in case
    /// that something doubled arrives; then compares.
    pub async fn compare(&self, ledger: &BTreeSet<String>, view: &str, patience: Duration) -> Result<Difference> {
        let begun = Instant::now();
        loop {
            let found = difference(ledger, self.ask(view).await?);
            if found.lost.is_empty() || begun.elapsed() > patience {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(difference(ledger, self.ask(view).await?))
    }

    /// How many rows the table holds beyond one for each item: repetitions that the view hides.
    pub async fn physical_duplicates(&self) -> Result<u64> {
        self.number("SELECT count() - uniqExact(item_id) FROM {db}.stored_items").await
    }
}

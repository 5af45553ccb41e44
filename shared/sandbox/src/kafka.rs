//! A real Apache Kafka broker (KRaft, one node) as a child process, from the published jars.
//!
//! The controller's session timeout is 2 s, so that a broker killed with SIGKILL serves again about 5 s after its
//! restart instead of 14 s. Everything else a client can see is as in production, but for replication factor 1.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::error::{Doing, Result};
use crate::places;
use crate::ports::{accepts, free_port_like, remember, remembered};
use crate::process::{ServerProcess, run_tool};

/// How the broker is started.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Java heap in MiB.
    pub heap_mib: u32,
    /// Compile with C1 only: starts a second faster, serves about a third slower. Benchmarks set it to false.
    pub fast_start: bool,
    /// How long to wait for the first metadata answer.
    pub patience: Duration,
    /// More lines of `server.properties`, `key=value`.
    pub properties: Vec<String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { heap_mib: 512, fast_start: true, patience: Duration::from_secs(90), properties: Vec::new() }
    }
}

/// The running broker. Dropping it kills it.
#[derive(Debug)]
pub struct KafkaServer {
    process: ServerProcess,
    port: u16,
    patience: Duration,
}

/// Killed, frozen and asked for its pid as any server is.
impl std::ops::Deref for KafkaServer {
    type Target = ServerProcess;

    fn deref(&self) -> &ServerProcess {
        &self.process
    }
}

impl KafkaServer {
    /// Starts a broker with its data in `dir`, formatting it the first time; existing data and port are kept.
    ///
    /// # Errors
    /// When jars or Java are missing (it says what to run), or the broker does not answer in time (with its log).
    pub async fn start(dir: &Path, options: KafkaOptions) -> Result<Self> {
        std::fs::create_dir_all(dir).doing("creating", dir)?;
        let dir = dir.canonicalize().doing("resolving", dir)?;
        let java = places::required_program("java", "openjdk-17-jre-headless")?;
        let libs = places::kafka_libs()?;
        let port = free_port_like(remembered(&dir, "kafka"))?;
        let controller_port = free_port_like(remembered(&dir, "controller"))?;
        remember(&dir, &[("kafka", port), ("controller", controller_port)])?;
        write(&dir.join("server.properties"), &properties(&dir, port, controller_port, &options.properties))?;
        write(&dir.join("log4j2.properties"), LOG4J)?;

        let launch =
            Launch { java, libs, dir: dir.clone(), heap_mib: options.heap_mib, fast_start: options.fast_start };
        if !dir.join("data").join("meta.properties").exists() {
            let format = launch.format();
            let formatted = tokio::task::spawn_blocking(move || run_tool(format, "formatting the Kafka storage")).await;
            formatted.map_err(std::io::Error::other).while_doing("formatting the Kafka storage")??;
        }
        let process = ServerProcess::new("Kafka", dir.join("server.log"), move || launch.broker());
        let server = Self { process, port, patience: options.patience };
        server.restart().await?;
        Ok(server)
    }

    /// The address for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The TCP port of the broker.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Orderly shutdown (SIGTERM), SIGKILL after 20 s.
    pub async fn stop(&self) {
        self.process.stop(Duration::from_secs(20)).await;
    }

    /// Starts it again, same port and data, killing it first if it still runs; returns when every partition has a leader.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn restart(&self) -> Result<()> {
        self.process.kill();
        self.process.start()?;
        self.process.wait_until(self.patience, || self.answers()).await
    }

    async fn answers(&self) -> bool {
        if !accepts(self.port).await {
            return false;
        }
        let bootstrap = self.bootstrap();
        tokio::task::spawn_blocking(move || every_partition_led(&bootstrap)).await.unwrap_or(false)
    }
}

/// True when the cluster answers metadata and no partition is without a leader.
pub(crate) fn every_partition_led(bootstrap: &str) -> bool {
    let client: std::result::Result<BaseConsumer, _> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("socket.connection.setup.timeout.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Emerg)
        .create();
    let metadata = client.and_then(|client| client.fetch_metadata(None, Duration::from_secs(2)));
    metadata.is_ok_and(|metadata| {
        let led =
            metadata.topics().iter().flat_map(|topic| topic.partitions()).all(|partition| partition.leader() >= 0);
        led && !metadata.brokers().is_empty()
    })
}

struct Launch {
    java: PathBuf,
    libs: PathBuf,
    dir: PathBuf,
    heap_mib: u32,
    fast_start: bool,
}

impl Launch {
    fn java(&self) -> Command {
        let mut command = Command::new(&self.java);
        command.current_dir(&self.dir).env_remove("JAVA_TOOL_OPTIONS");
        command.arg(format!("-Xmx{}m", self.heap_mib)).args(["-XX:+UseSerialGC", "-Xshare:auto"]);
        if self.fast_start {
            command.arg("-XX:TieredStopAtLevel=1");
        }
        command.arg(format!("-Dlog4j2.configurationFile={}", self.dir.join("log4j2.properties").display()));
        command.arg("-cp").arg(self.libs.join("*"));
        command
    }

    fn format(&self) -> Command {
        let mut command = self.java();
        // A fixed cluster id: the data folder is the identity here.
        command.args(["kafka.tools.StorageTool", "format", "-t", "b3V0Y3J5LXNhbmRib3gtMQ", "-c", "server.properties"]);
        command
    }

    fn broker(&self) -> Command {
        let mut command = self.java();
        command.args(["kafka.Kafka", "server.properties"]);
        command
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).doing("writing", path)
}

/// Kafka logs to stdout, which the parent appends to `server.log`.
const LOG4J: &str = "status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

fn properties(dir: &Path, port: u16, controller_port: u16, more: &[String]) -> String {
    let data = dir.join("data");
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
# A static quorum: the controller may get another port when the data folder is used again.
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
",
        data = data.display()
    );
    text.push_str(PROPERTIES);
    for line in more {
        text.push_str(line);
        text.push('\n');
    }
    text
}

const PROPERTIES: &str = "
num.partitions=1
auto.create.topics.enable=false
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# A killed broker is refused until its old session ends: 2 s instead of 9 s.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.max.session.timeout.ms=1800000
# Small segments and an eager cleaner, so that tests see compaction.
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=5000
log.cleaner.min.cleanable.ratio=0.1
log.retention.hours=-1
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
";

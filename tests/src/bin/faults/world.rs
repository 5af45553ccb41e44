//! The servers that faults are injected into: a stack of our own, whose broker also listens behind a proxy.

use crate::disk_faults::SmallDisk;
use anyhow::{Context, Result};
use outcry_sandbox::{
    ClickHouseServer, Fault, FaultProxy, KafkaOptions, KafkaServer, Stack, StackOptions, ports::free_port,
};
use std::time::Duration;

/// How often each fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rounds {
    /// A few, for every change.
    Brief,
    /// The counts of the published table.
    Ci,
    /// Hours.
    Long,
}

impl Rounds {
    /// The one that is meant.
    pub fn of<T>(self, brief: T, ci: T, long: T) -> T {
        match self {
            Self::Brief => brief,
            Self::Ci => ci,
            Self::Long => long,
        }
    }
}

/// The servers, and what a run was asked for.
pub struct World {
    /// Real servers.
    pub stack: Stack,
    /// Stands before the broker for whoever uses [`World::proxied_bootstrap`]; the broker names it to its clients.
    pub kafka_proxy: FaultProxy,
    /// Reproduces the run.
    pub seed: u64,
    /// How much.
    pub rounds: Rounds,
    /// Where one of the servers keeps its data, if that is a disk that can be filled.
    pub disk: Option<SmallDisk>,
    _folder: tempfile::TempDir,
}

impl World {
    /// Starts Kafka and ClickHouse.
    pub async fn start(seed: u64, rounds: Rounds) -> Result<Self> {
        Self::start_on(seed, rounds, None).await
    }

    /// The same with a server's data, `clickhouse` or `kafka`, on a disk of so many megabytes.
    pub async fn start_on(seed: u64, rounds: Rounds, small: Option<(&str, u32)>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("outcry-faults-").tempdir().context("making a folder")?;
        let mount = |(server, megabytes)| SmallDisk::mount(&folder.path().join(server), megabytes);
        let disk = small.map(mount).transpose()?;
        let (kafka_proxy, kafka) = proxied_kafka(folder.path())?;
        let options = StackOptions { kafka, ..StackOptions::in_dir(folder.path()) };
        let stack = Stack::start(options).await?;
        Ok(Self { stack, kafka_proxy, seed, rounds, disk, _folder: folder })
    }

    /// For `bootstrap.servers` of what shall reach the broker through the proxy only.
    pub fn proxied_bootstrap(&self) -> String {
        self.kafka_proxy.address().to_string()
    }

    /// To kill and freeze it.
    pub fn clickhouse(&self) -> Result<&ClickHouseServer> {
        Ok(self.stack.clickhouse_server()?)
    }

    /// To kill and freeze it.
    pub fn kafka(&self) -> Result<&KafkaServer> {
        Ok(self.stack.kafka_server()?)
    }

    /// Starts ClickHouse again if it is gone. `true` if it was.
    pub async fn revive_clickhouse(&self) -> Result<bool> {
        for _ in 0..5 {
            if self.stack.clickhouse().query("sink", "SELECT 1").await.is_ok() {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.clickhouse()?.restart().await?;
        Ok(true)
    }

    /// A proxy before ClickHouse, and the address for `[clickhouse] url`.
    pub fn clickhouse_proxy(&self) -> Result<(FaultProxy, String)> {
        let target = self.stack.clickhouse().url.trim_start_matches("http://").to_owned();
        let proxy = FaultProxy::start(&target)?;
        proxy.set(Fault::None);
        let url = format!("http://{}", proxy.address());
        Ok((proxy, url))
    }
}

/// A second listener, whose advertised address is a proxy's: a client that begins at the proxy stays behind it.
fn proxied_kafka(data: &std::path::Path) -> Result<(FaultProxy, KafkaOptions)> {
    let [plain, behind, controller] = [free_port()?, free_port()?, free_port()?];
    let proxy = FaultProxy::start(&format!("127.0.0.1:{behind}"))?;
    // The broker takes the ports that an earlier run left beside its data; our listeners must name the same.
    let folder = data.join("kafka");
    std::fs::create_dir_all(&folder).context("making the broker's folder")?;
    std::fs::write(folder.join("ports"), format!("kafka={plain}\ncontroller={controller}\n"))
        .context("choosing ports")?;
    let listeners =
        format!("PLAINTEXT://127.0.0.1:{plain},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}");
    let properties = vec![
        format!("listeners={listeners}"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{plain},PROXIED://{}", proxy.address()),
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT".into(),
    ];
    Ok((proxy, KafkaOptions { properties, ..KafkaOptions::default() }))
}

//! One sink as a process: the real one, or the same with failpoints and wrong ways to write.

use anyhow::{Context, Result, bail};
use outcry_sandbox::{ports::free_port, process::ServerProcess};
use outcry_tests::{Pipeline, Usage, binary};
use std::{
    path::PathBuf,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

/// How a sink is started.
#[derive(Clone, Debug, Default)]
pub struct SinkOptions {
    /// The build with failpoints and controls.
    pub faulty: bool,
    /// `group.instance.id`; two sinks that run together have different ones.
    pub instance: &'static str,
    /// Environment beyond that.
    pub environment: Vec<(&'static str, String)>,
}

impl SinkOptions {
    /// The real binary.
    pub fn real(instance: &'static str) -> Self {
        Self { instance, ..Self::default() }
    }

    /// The build with failpoints and controls.
    pub fn faulty(instance: &'static str) -> Self {
        Self { faulty: true, ..Self::real(instance) }
    }

    /// With one more variable.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

/// A running sink; it ends with this.
pub struct Sink {
    process: ServerProcess,
    http: String,
    client: reqwest::Client,
    log: PathBuf,
}

impl Sink {
    /// Starts it on a pipeline's topics and tables.
    pub fn start(pipeline: &Pipeline<'_>, options: &SinkOptions) -> Result<Self> {
        let program = binary::find(if options.faulty { "examples/faulty_sink" } else { "outcry-sink" })?;
        let (config, port) = (pipeline.config(), free_port()?);
        let log = config.with_file_name(format!("sink-{}.log", options.instance));
        let mut environment: Vec<(&'static str, String)> = vec![
            ("OUTCRY_HTTP__METRICS_LISTEN", format!("127.0.0.1:{port}")),
            ("OUTCRY_KAFKA__INSTANCE_ID", options.instance.to_owned()),
        ];
        environment.extend(options.environment.iter().cloned());
        let process = ServerProcess::new("outcry-sink", log.clone(), move || {
            let mut command = Command::new(&program);
            command.arg("--config").arg(&config).envs(environment.iter().map(|(name, value)| (name, value)));
            command
        });
        process.start()?;
        Ok(Self { process, http: format!("http://127.0.0.1:{port}"), client: binary::client()?, log })
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// The same again after [`Sink::kill`].
    pub fn start_again(&self) -> Result<()> {
        Ok(self.process.start()?)
    }

    /// SIGKILL, and the same sink again.
    pub async fn kill_and_start_again(&self) -> Result<()> {
        self.kill();
        self.start_again()?;
        self.ready().await
    }

    /// SIGTERM, SIGKILL after 25 s.
    pub async fn terminate(&self) {
        self.process.stop(Duration::from_secs(25)).await;
    }

    /// SIGSTOP.
    pub fn freeze(&self) -> Result<()> {
        Ok(self.process.signal(libc::SIGSTOP)?)
    }

    /// SIGCONT.
    pub fn unfreeze(&self) -> Result<()> {
        Ok(self.process.signal(libc::SIGCONT)?)
    }

    /// Waits until it ends by itself; `None` if it does not.
    pub async fn ended(&self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.process.exited() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Waits until `/health/ready` says 200.
    pub async fn ready(&self) -> Result<()> {
        self.health(200, Duration::from_secs(40)).await.map(drop)
    }

    /// Waits until `/health/ready` has this status, and gives what it says.
    pub async fn health(&self, status: u16, patience: Duration) -> Result<String> {
        let begun = Instant::now();
        let url = format!("{}/health/ready", self.http);
        while begun.elapsed() < patience {
            if let Some(status) = self.process.exited() {
                bail!("the sink ended by itself ({status}); its log ends:\n{}", self.log_end());
            }
            if let Ok(answer) = self.client.get(&url).send().await
                && answer.status().as_u16() == status
            {
                return answer.text().await.context("reading the sink's health");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the sink's health was not {status} within {patience:?}; its log ends:\n{}", self.log_end())
    }

    /// The sum of a counter over its labels; only lines that hold `label` count.
    pub async fn counter(&self, name: &str, label: &str) -> Result<u64> {
        let text = self.client.get(format!("{}/metrics", self.http)).send().await?.text().await?;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
    }

    /// Peak memory so far.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        Usage::of(self.process.pid()?).ok().map(|usage| usage.peak_rss_bytes)
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

//! A real binary as a child process, as an operator would start it: arguments, environment, signals, HTTP.

use crate::machine::Usage;
use anyhow::{Context, Result, bail};
use outcry_sandbox::{ports::free_port, process::ServerProcess};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Lines of a log that a failed test prints.
const SHOWN_LINES: usize = 60;

/// A running service. It never outlives the process that started it; its log is printed when a test fails.
pub struct Binary {
    name: &'static str,
    process: ServerProcess,
    log: PathBuf,
    http: String,
    client: reqwest::Client,
}

impl Binary {
    /// Starts `target/{debug,release}/NAME --config CONFIG` with the environment added, health and metrics on a free
    /// port, the log (stdout and stderr) in `NAME.log` beside the configuration.
    pub fn start(name: &'static str, config: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let arguments = [OsString::from("--config"), config.into()];
        Self::start_with(name, &arguments, environment, config.with_file_name(format!("{name}.log")))
    }

    /// The same with any arguments, and the log elsewhere.
    pub fn start_with(
        name: &'static str,
        arguments: &[OsString],
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> Result<Self> {
        let program = find(name)?;
        let port = free_port()?;
        let (arguments, environment) = (arguments.to_vec(), owned(environment));
        let process = ServerProcess::new(name, log.clone(), move || {
            let mut command = Command::new(&program);
            command.args(&arguments).env("OUTCRY_HTTP__METRICS_LISTEN", format!("127.0.0.1:{port}"));
            command.envs(environment.iter().map(|(key, value)| (key, value)));
            command
        });
        process.start()?;
        Ok(Self { name, process, log, http: format!("http://127.0.0.1:{port}"), client: client()? })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again after [`Binary::kill`] or [`Binary::terminate`], with the same arguments and ports.
    pub fn start_again(&self) -> Result<()> {
        Ok(self.process.start()?)
    }

    /// SIGSTOP: it hangs, and its connections stay open.
    pub fn freeze(&self) -> Result<()> {
        Ok(self.process.signal(libc::SIGSTOP)?)
    }

    /// SIGCONT.
    pub fn unfreeze(&self) -> Result<()> {
        Ok(self.process.signal(libc::SIGCONT)?)
    }

    /// SIGTERM, and how it ended. An error if it has not ended within `bound`; it is killed then.
    pub async fn terminate(&self, bound: Duration) -> Result<ExitStatus> {
        self.process.signal(libc::SIGTERM)?;
        self.ended(bound).await.with_context(|| format!("{} after SIGTERM", self.name))
    }

    /// An error if it has ended by itself.
    pub fn check_runs(&self) -> Result<()> {
        match self.process.exited() {
            Some(status) => bail!("{} ended by itself ({status}); its log ends:\n{}", self.name, self.log_end()),
            None => Ok(()),
        }
    }

    /// Waits until it ends by itself.
    pub async fn ended(&self, bound: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < bound {
            if let Some(status) = self.process.exited() {
                // The child is reaped; this only forgets it, so that it can be started again.
                self.process.kill();
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.process.kill();
        bail!("{} had not ended after {bound:?}; its log ends:\n{}", self.name, self.log_end())
    }

    /// Waits until `/health/ready` says 200.
    pub async fn wait_ready(&self, patience: Duration) -> Result<()> {
        self.wait_health(200, patience).await.map(drop)
    }

    /// Waits until `/health/ready` answers with this status, and gives what it says.
    pub async fn wait_health(&self, status: u16, patience: Duration) -> Result<String> {
        self.wait_health_saying(status, "", patience).await
    }

    /// The same, until it also says these words: a service that starts is not ready either.
    pub async fn wait_health_saying(&self, status: u16, words: &str, patience: Duration) -> Result<String> {
        let begun = Instant::now();
        let mut last = "nothing".to_owned();
        while begun.elapsed() < patience {
            self.check_runs()?;
            match self.health().await {
                Ok((code, text)) if code == status && text.contains(words) => return Ok(text),
                Ok((code, text)) => last = format!("{code} {text}"),
                Err(error) => last = format!("{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = self.log_end();
        bail!("/health/ready of {} was not {status} within {patience:?}, last {last}; its log ends:\n{log}", self.name)
    }

    /// What `/health/ready` says now.
    pub async fn health(&self) -> Result<(u16, String)> {
        let answer = self.client.get(format!("{}/health/ready", self.http)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Result<String> {
        Ok(self.client.get(format!("{}/metrics", self.http)).send().await?.error_for_status()?.text().await?)
    }

    /// CPU time and peak memory of the process that runs now.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid().with_context(|| format!("{} does not run", self.name))?)
    }

    /// All it has written so far, stdout and stderr, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of it.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- end of the log of {}:\n{}\n---", self.name, self.log_end());
        }
    }
}

/// What a command that ends by itself said.
#[derive(Debug)]
pub struct Said {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a binary to its end, and kills it after `bound`.
pub async fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)], bound: Duration) -> Result<Said> {
    let mut command = tokio::process::Command::new(find(name)?);
    command.args(arguments).envs(owned(environment)).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(bound, command.output())
        .await
        .with_context(|| format!("{name} {arguments:?} had not ended after {bound:?}"))?
        .with_context(|| format!("running {name} {arguments:?}"))?;
    Ok(Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Builds the binaries of these packages in the profile of this program: `cargo run` builds only the one that it runs.
pub fn build(packages: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("build").args(packages.iter().flat_map(|package| ["-p", package]));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stdout(Stdio::null());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().context("starting cargo to build the binaries")?;
    if !status.success() {
        bail!("the binaries do not build ({status})");
    }
    Ok(())
}

/// The binary beside the running test or benchmark: `target/debug/NAME` or `target/release/NAME`.
pub fn find(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the path of this program")?;
    let beside = own.parent().unwrap_or(Path::new("."));
    // A test runs from target/debug/deps, a benchmark from target/release.
    let folder = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    let program = folder.join(name);
    if program.is_file() {
        return Ok(program);
    }
    let release = if folder.ends_with("release") { " --release" } else { "" };
    bail!("there is no {}: run `cargo build{release} --workspace --bins`", program.display())
}

/// A client for services on this machine.
pub fn client() -> Result<reqwest::Client> {
    outcry_runtime::install_crypto_provider();
    let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(30));
    builder.build().context("making an HTTP client")
}

fn owned(environment: &[(&str, &str)]) -> Vec<(String, String)> {
    environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

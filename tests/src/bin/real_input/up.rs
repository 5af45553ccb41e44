//! `outcry up`, as an operator runs it, with a configuration that names the mailbox and the account.

use anyhow::{Context, Result, bail};
use outcry_sandbox::Stack;
use outcry_tests::{Binary, View, binary};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const STARTING: Duration = Duration::from_secs(120);
const DATABASE: &str = "outcry";

/// The running pipeline.
pub struct Up {
    process: Binary,
    stack: Stack,
    data_dir: PathBuf,
}

impl Up {
    /// Starts it, and returns when its views can be asked.
    pub async fn start(folder: &Path, sections: &str) -> Result<Self> {
        let (config, data_dir) = (folder.join("real_input.toml"), folder.join("data"));
        std::fs::write(&config, sections).context("writing the configuration")?;
        let arguments = ["up".into(), "--config".into(), config.into(), "--data-dir".into(), data_dir.clone().into()];
        let process = Binary::start_with("outcry", &arguments, &[], folder.join("outcry.log"))?;
        let begun = Instant::now();
        let stack_json = data_dir.join("stack.json");
        let stack = loop {
            process.check_runs()?;
            if stack_json.exists()
                && let Ok(stack) = Stack::attach(&stack_json)
                && View::new(&stack, DATABASE).ask("SELECT count() FROM {db}.contacts").await.is_ok()
            {
                break stack;
            }
            if begun.elapsed() > STARTING {
                bail!("`outcry up` was not there after {STARTING:?}; it said:\n{}", process.log_end());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        Ok(Self { process, stack, data_dir })
    }

    /// Its database.
    pub fn view(&self) -> View<'_> {
        View::new(&self.stack, DATABASE)
    }

    /// An error if it has ended by itself.
    pub fn check_runs(&self) -> Result<()> {
        self.process.check_runs()
    }

    /// `outcry query REPORT --format json`: the row of that channel.
    pub async fn query(&self, report: &str, channel: &str) -> Result<Value> {
        let analyst = self.data_dir.join("analyst.toml").display().to_string();
        let arguments = ["query", report, "--format", "json", "--config", &analyst];
        let said = binary::run("outcry", &arguments, &[], STARTING).await?;
        let document: Value = serde_json::from_str(&said.stdout)
            .with_context(|| format!("`outcry query {report}` ended with {:?}: {}", said.code, said.stderr))?;
        let rows = document["rows"].as_array().context("the report has no rows")?;
        let found = rows.iter().find(|row| row["channel"] == channel);
        found.cloned().with_context(|| format!("the report has no row for {channel}"))
    }

    /// SIGTERM; an error if it does not end cleanly.
    pub async fn stop(self) -> Result<()> {
        let status = self.process.terminate(Duration::from_secs(60)).await?;
        if !status.success() {
            bail!("`outcry up` ended with {status}; it said:\n{}", self.process.log_end());
        }
        Ok(())
    }
}

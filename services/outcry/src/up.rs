//! `outcry up`: the whole pipeline on this machine.

use crate::{
    cli::ConfigFiles,
    configs,
    local::{self, LocalConfig, Role},
    migrate,
    services::Services,
};
use anyhow::Context as _;
use outcry_runtime::{CancellationToken, Context, install_exporter, serve_health, until_signal};
use outcry_sandbox::{Stack, StackOptions};
use std::path::Path;

/// Until Ctrl-C, or until a service fails.
pub async fn run(config: &ConfigFiles, data_dir: &Path) -> anyhow::Result<()> {
    let folder = std::path::absolute(data_dir).context("finding the data folder")?;
    eprintln!("starting Kafka, ClickHouse and Dovecot under {} …", folder.display());
    let stack = Stack::start(StackOptions::in_dir(&folder).with_dovecot()).await?;
    let pipeline = if config.files.is_empty() { local::default_pipeline(&stack, &folder)? } else { String::new() };
    let local = LocalConfig::write(&stack, &folder, &pipeline, &config.files)?;
    let basics = configs::basics(&ConfigFiles { files: local.files(Role::Migrator) })?;
    migrate::apply(&basics.kafka, &basics.clickhouse, true).await?;

    let context = Context::new(CancellationToken::new());
    let health_stop = CancellationToken::new();
    let health = serve_health("127.0.0.1:0", &context, install_exporter()?, health_stop.clone()).await?;
    let mut services = Services::start(&local, &context)?;
    print_addresses(&stack, &local, &folder, health);
    eprintln!("running: {}. Ctrl-C ends it.", services.names.join(", "));
    let outcome = tokio::select! {
        error = services.failure() => Err(error),
        signal = until_signal() => signal.context("listening for Ctrl-C"),
    };
    eprintln!("stopping …");
    let stopped = services.stop().await;
    health_stop.cancel();
    stack.stop().await;
    outcome.and(stopped)
}

fn print_addresses(stack: &Stack, local: &LocalConfig, folder: &Path, health: std::net::SocketAddr) {
    eprintln!("  Kafka       {}", stack.bootstrap());
    eprintln!(
        "  ClickHouse  {}  (database {}, user analyst: see {})",
        stack.clickhouse().url,
        local::DATABASE,
        local.analyst_file().display()
    );
    if let Ok(dovecot) = stack.dovecot() {
        eprintln!(
            "  IMAP        127.0.0.1:{}  (any user; password in {})",
            dovecot.port(),
            folder.join("pipeline.toml").display()
        );
    }
    eprintln!("  SMTP        127.0.0.1:{}  (stores what it receives)", stack.smtp().port());
    let files = local.files(Role::Sink);
    for (name, section, key) in [("webhooks", "phone", "public_url"), ("console", "console", "public_url")] {
        if let Some(address) = setting(&files, section, key) {
            eprintln!("  {name:<11} {address}");
        }
    }
    eprintln!("  health      http://{health}/health/ready   metrics http://{health}/metrics");
    eprintln!("  configuration and secrets: {}", folder.display());
    eprintln!("  ask: outcry query volume --config {}", local.analyst_file().display());
}

/// The last value of a setting among the files, for showing it.
fn setting(files: &[std::path::PathBuf], section: &str, key: &str) -> Option<String> {
    files.iter().rev().find_map(|file| {
        let table: toml::Table = std::fs::read_to_string(file).ok()?.parse().ok()?;
        Some(table.get(section)?.get(key)?.as_str()?.to_owned())
    })
}

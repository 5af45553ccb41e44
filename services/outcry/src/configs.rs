//! Reading the configuration on behalf of one command or of every service.

use crate::{
    cli::{ConfigFiles, WrongUsage},
    reclassify,
};
use anyhow::Context as _;
use outcry_domain::Brand;
use outcry_kafka::KafkaConfig;
use outcry_runtime::{ServiceConfig, config};
use outcry_warehouse::ClickHouseConfig;
use serde::Deserialize;
use std::path::PathBuf;

/// What the commands that look at Kafka and ClickHouse read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basics {
    /// Brokers.
    pub kafka: KafkaConfig,
    /// Warehouse.
    pub clickhouse: ClickHouseConfig,
    /// Brands.
    #[serde(default)]
    #[expect(dead_code, reason = "read by the reports of a later release")]
    pub brands: Vec<Brand>,
}

/// What a command that only asks ClickHouse reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analyst {
    /// Warehouse.
    pub clickhouse: ClickHouseConfig,
}

/// The files given; else those that `outcry up` left in the current folder for this purpose.
pub fn files(given: &ConfigFiles, left_by_up: &[&str]) -> Vec<PathBuf> {
    if !given.files.is_empty() {
        return given.files.clone();
    }
    let left = left_by_up.iter().map(|name| PathBuf::from(".outcry").join(name));
    left.filter(|file| file.is_file()).collect()
}

/// Brokers and warehouse.
pub fn basics(given: &ConfigFiles) -> anyhow::Result<Basics> {
    load(&files(given, &["migrator.toml"]), &["kafka", "clickhouse", "brands"])
}

/// The warehouse, as an analyst.
pub fn analyst(given: &ConfigFiles) -> anyhow::Result<Analyst> {
    load(&files(given, &["analyst.toml"]), &["clickhouse"])
}

/// Brokers, warehouse, brands and classifier.
pub fn reclassify(given: &ConfigFiles) -> anyhow::Result<reclassify::Settings> {
    load(&files(given, &["migrator.toml", "pipeline.toml"]), reclassify::Settings::SECTIONS)
}

fn load<C: serde::de::DeserializeOwned>(files: &[PathBuf], sections: &[&str]) -> anyhow::Result<C> {
    config::load(files, sections).map_err(|error| {
        let hint = if files.is_empty() {
            " (no file was given: use --config FILE or OUTCRY_CONFIG, or run this beside a running `outcry up`)"
        } else {
            ""
        };
        anyhow::Error::new(WrongUsage(format!("{error}{hint}")))
    })
}

/// One service's configuration, checked.
pub fn service<C: ServiceConfig>(name: &str, files: &[PathBuf]) -> anyhow::Result<C> {
    let config: C = config::load(files, C::SECTIONS).with_context(|| format!("configuring the {name}"))?;
    config.validate().map_err(|problems| {
        anyhow::anyhow!("the configuration of the {name} does not hold together: {}", problems.join("; "))
    })?;
    Ok(config)
}

/// Which services a configuration asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// There are mailboxes.
    pub email: bool,
    /// There are phone accounts.
    pub phone: bool,
    /// There are social accounts.
    pub social: bool,
    /// There is a mail server to send by.
    pub notifier: bool,
    /// There is an address to listen on.
    pub console: bool,
}

/// Looks only at what is there, not at whether it is right.
pub fn wanted(files: &[PathBuf]) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::default();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("reading {} as TOML", file.display()))?;
        let has = |section: &str, list: &str| {
            table
                .get(section)
                .and_then(|section| section.get(list))
                .and_then(|list| list.as_array())
                .is_some_and(|list| !list.is_empty())
        };
        wanted.email |= has("email", "mailboxes");
        wanted.phone |= has("phone", "accounts");
        wanted.social |= has("social", "accounts");
        wanted.notifier |= table.contains_key("notifier");
        wanted.console |= table.contains_key("console");
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_is_configured_is_started() {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(b"[email]\nmailboxes = []\n[[phone.accounts]]\nname = 'main'\n[console]\nlisten = 'x'\n")
            .unwrap();
        let found = wanted(&[file.path().to_owned()]).unwrap();
        assert_eq!(found, Wanted { phone: true, console: true, ..Wanted::default() });
    }
}

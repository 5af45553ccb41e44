//! `[classifier]`.

use outcry_domain::Brand;
use outcry_kafka::KafkaConfig;
use outcry_runtime::{ServiceConfig, config::Http};
use serde::Deserialize;
use std::path::PathBuf;

/// What the classifier reads of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Health and metrics.
    #[serde(default)]
    pub http: Http,
    /// Brokers.
    pub kafka: KafkaConfig,
    /// Brands, for the languages that their customers write.
    #[serde(default)]
    pub brands: Vec<Brand>,
    /// Which classifier.
    #[serde(default)]
    pub classifier: ClassifierSection,
}

/// Which classifier.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierSection {
    /// Name of the release on every classification; the program's own if not given.
    pub release: Option<String>,
    /// A brand's own lexicons. Not built yet.
    pub bundle: Option<PathBuf>,
    /// A model made by `outcry train`. Read at the start: a new one needs a restart.
    pub model: Option<PathBuf>,
}

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "brands", "classifier"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let problems: Vec<String> = match self.classifier.bundle {
            Some(_) => vec!["classifier.bundle is not built yet: leave it away".into()],
            None => Vec::new(),
        };
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

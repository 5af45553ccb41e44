//! Reads `items.raw`, says what each item is about, writes `items.classified`.
//!
//! The output is a pure function of the input's bytes and the classifier's version, keyed as the input, so it needs no
//! Kafka transactions: a repeated item gives the same bytes again. The item itself is passed on to the byte; fields that
//! this release does not know stay. An offset is committed after the output is acknowledged.
//!
//! It refuses to guess: an item of an unknown schema version holds its partition until a newer classifier comes.

pub mod config;
pub mod metrics;
mod record;
mod worker;

pub use config::{ClassifierSection, Config};
pub use record::{Refusal, classify_record};

use anyhow::Context as _;
use outcry_classify::Classifier;
use outcry_kafka::{ConsumerOptions, Publisher, Topic, run_partitions};
use outcry_runtime::Context;
use std::collections::HashMap;

/// The classifier that a configuration names.
pub fn open_classifier(section: &ClassifierSection) -> anyhow::Result<Classifier> {
    let classifier = Classifier::builtin();
    Ok(match &section.release {
        Some(release) => classifier.with_release(release),
        None => classifier,
    })
}

/// Runs until shutdown.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let publisher = Publisher::new(&config.kafka, "classifier").context("preparing the output")?;
    let classifier = open_classifier(&config.classifier)?;
    tracing::info!(version = classifier.version(), "classifier");
    let languages: HashMap<String, Vec<String>> =
        config.brands.iter().map(|brand| (brand.id.clone(), brand.languages.clone())).collect();
    let worker = worker::Worker::new(classifier, languages, publisher, &config.kafka, &context);
    run_partitions(&config.kafka, ConsumerOptions::new("classifier", &[Topic::ItemsRaw]), &context, worker).await
}

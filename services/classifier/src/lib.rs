//! Reads `items.raw`, says what each item is about, writes `items.classified`.
//!
//! The output is a pure function of the input's bytes and the classifier's version, keyed as the input, so it needs no
//! Kafka transactions: a repeated item gives the same bytes again. The item itself is passed on to the byte; fields that
//! this release does not know stay. An offset is committed after the output is acknowledged.
//!
//! It refuses to guess: an item of an unknown schema version holds its partition until a newer classifier comes.

pub mod config;
pub mod metrics;
mod model;
mod record;
mod worker;

pub use config::{ClassifierSection, Config};
pub use model::open_model;
pub use record::{Labeller, Refusal, Room, classify_record};

use anyhow::Context as _;
use outcry_classify::Classifier;
use outcry_kafka::{ConsumerOptions, Publisher, Topic, run_partitions};
use outcry_runtime::Context;
use std::collections::HashMap;

/// The classifier and the model that a configuration names.
pub fn open_labeller(section: &ClassifierSection) -> anyhow::Result<Labeller> {
    let classifier = match &section.release {
        Some(release) => Classifier::builtin().with_release(release),
        None => Classifier::builtin(),
    };
    let model = section.model.as_deref().map(open_model).transpose()?;
    Ok(Labeller { classifier, model })
}

/// Runs until shutdown.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let publisher = Publisher::new(&config.kafka, "classifier").context("preparing the output")?;
    let labeller = open_labeller(&config.classifier)?;
    let axis = labeller.model.as_ref().map(|model| model.card().axis.as_str());
    tracing::info!(version = labeller.version(), axis, "classifier");
    let languages: HashMap<String, Vec<String>> =
        config.brands.iter().map(|brand| (brand.id.clone(), brand.languages.clone())).collect();
    let worker = worker::Worker::new(labeller, languages, publisher, &config.kafka, &context);
    run_partitions(&config.kafka, ConsumerOptions::new("classifier", &[Topic::ItemsRaw]), &context, worker).await
}

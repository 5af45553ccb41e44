//! `outcry reclassify`: history under the classifier of this release.
//!
//! What is stored in ClickHouse is what history is; its words are read from `items.raw` where that still reaches back, else
//! from ClickHouse. An item whose labels differ goes to `items.classified` again, marked, so that it replaces its row and
//! nobody is written to. What people corrected stays corrected: the views put their word first.
//!
//! Running it again goes over everything and publishes what still differs, so it may be cut off and repeated at any time.

mod source;
mod tally;

use crate::{
    cli::{ConfigFiles, Format, WrongUsage},
    configs, progress, query,
};
use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use outcry_classifier::{ClassifierSection, Labeller, Refusal, Room, classify_record, open_labeller};
use outcry_domain::{Brand, Timestamp, classification::RECLASSIFIED_HEADER};
use outcry_kafka::{KafkaConfig, Outgoing, PublishError, Publisher, Topic, retained};
use outcry_warehouse::{ClickHouseConfig, Stretch, Warehouse, labels_by_axis};
use serde::Deserialize;
use source::{Candidate, Picked};
use std::{collections::HashMap, time::Duration};
use tally::Tally;
use tokio::task::JoinSet;

/// Records of two producers may lie in another order than their times say.
const DISORDER: Duration = Duration::from_secs(600);

/// `outcry reclassify`.
#[derive(Debug, Args)]
pub struct ReclassifyArguments {
    /// From this instant or date on: the time that reports use.
    #[arg(long)]
    from: String,
    /// Before this instant or date; to the end if not given.
    #[arg(long)]
    to: Option<String>,
    /// Only says which labels would change.
    #[arg(long)]
    dry_run: bool,
    /// How to write what changes.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Configuration.
    #[command(flatten)]
    config: ConfigFiles,
}

/// What it reads of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    kafka: KafkaConfig,
    clickhouse: ClickHouseConfig,
    #[serde(default)]
    brands: Vec<Brand>,
    #[serde(default)]
    classifier: ClassifierSection,
}

impl Settings {
    pub(crate) const SECTIONS: &'static [&'static str] = &["kafka", "clickhouse", "brands", "classifier"];
}

/// Does it.
pub async fn run(arguments: &ReclassifyArguments) -> anyhow::Result<()> {
    let from = query::instant("--from", Some(&arguments.from))?.unwrap_or(Timestamp::UNKNOWN);
    let to = query::instant("--to", arguments.to.as_deref())?.unwrap_or(Timestamp::from_millis(i64::MAX));
    if from >= to {
        return Err(WrongUsage("--from must be before --to".into()).into());
    }
    let settings = configs::reclassify(&arguments.config)?;
    if settings.brands.is_empty() {
        // Their languages are part of what the classifier is given.
        let what = "the configuration names no [[brands]]: give `outcry reclassify` the classifier's, with --config";
        return Err(WrongUsage(what.into()).into());
    }
    let warehouse = Warehouse::connect(&settings.clickhouse)?;
    warehouse.check_schema().await?;
    let topic = settings.kafka.topic_name(Topic::ItemsRaw);
    let kept = retained(&settings.kafka, &topic).await.context("asking how far back Kafka reaches")?;
    let since = kept.since_ms.map_or(Timestamp::from_millis(i64::MAX), |millis| {
        let since = Timestamp::from_millis(millis);
        if kept.cut { since.plus(DISORDER) } else { since }
    });
    let before_kafka = Stretch { from, to, ingested_before: since };
    let (older, parts) = warehouse.stretch(&before_kafka).await?;

    let bar = progress::counted(older + kept.since_ms.map_or(0, |_| kept.records));
    let mut work = Work::new(&settings, warehouse, arguments.dry_run, bar)?;
    for (brand, channel) in &parts {
        work.clickhouse((brand, *channel), &before_kafka).await?;
    }
    if kept.since_ms.is_some() {
        let wanted = source::Wanted { from, to, ingested_from: since };
        work.kafka(&settings.kafka, &topic, wanted).await?;
    }
    work.bar.finish_and_clear();
    eprintln!("{}", work.tally.summary(&work.labeller.version(), arguments.dry_run));
    query::write(&work.tally.table(), arguments.format)
}

/// What a run has in its hands.
struct Work {
    labeller: Labeller,
    room: Room,
    languages: HashMap<String, Vec<String>>,
    warehouse: Warehouse,
    publisher: Publisher,
    output: String,
    dry_run: bool,
    tally: Tally,
    bar: ProgressBar,
}

impl Work {
    fn new(settings: &Settings, warehouse: Warehouse, dry_run: bool, bar: ProgressBar) -> anyhow::Result<Self> {
        let brands = settings.brands.iter();
        Ok(Self {
            labeller: open_labeller(&settings.classifier)?,
            room: Room::default(),
            languages: brands.map(|brand| (brand.id.clone(), brand.languages.clone())).collect(),
            warehouse,
            publisher: Publisher::new(&settings.kafka, "reclassify")?,
            output: settings.kafka.topic_name(Topic::ItemsClassified),
            dry_run,
            tally: Tally::default(),
            bar,
        })
    }

    async fn kafka(&mut self, kafka: &KafkaConfig, topic: &str, wanted: source::Wanted) -> anyhow::Result<()> {
        let mut batches = source::batches(kafka, topic, wanted, self.bar.clone());
        while let Some(batch) = batches.recv().await {
            let candidates = self.sorted_out(batch?)?;
            let places = candidates.iter().map(|candidate| &candidate.place);
            let stored = self.warehouse.stored_labels(places).await?;
            let mut due = Vec::with_capacity(candidates.len());
            for candidate in candidates {
                match stored.get(&candidate.place.item_id) {
                    // Not stored yet, or not any more: its labels are the classifier's to give, or nobody's.
                    None => self.tally.absent += 1,
                    Some(stored) if stored.ingested_at != candidate.ingested_at => self.tally.other_sightings += 1,
                    Some(stored) => due.push((candidate, stored.clone())),
                }
            }
            self.tally.from_kafka += due.len() as u64;
            self.classify_again(due).await?;
        }
        Ok(())
    }

    fn sorted_out(&mut self, batch: Vec<Picked>) -> anyhow::Result<Vec<Candidate>> {
        let mut candidates = HashMap::with_capacity(batch.len());
        for picked in batch {
            match picked {
                // The same sighting twice is one.
                Picked::Item(candidate) => drop(candidates.insert(candidate.place.item_id, *candidate)),
                Picked::Unreadable => self.tally.unreadable += 1,
                Picked::Newer(version) => anyhow::bail!(
                    "items.raw holds schema version {version}, which this release does not know: upgrade it"
                ),
            }
        }
        Ok(candidates.into_values().collect())
    }

    async fn clickhouse(&mut self, part: (&str, outcry_domain::Channel), stretch: &Stretch) -> anyhow::Result<()> {
        let mut pages = source::Pages::new(&self.warehouse, part, *stretch).await?;
        while let Some(page) = pages.next().await? {
            let mut due = Vec::with_capacity(page.len());
            for found in page {
                self.bar.inc(1);
                if found.whole {
                    due.push((Candidate::of_stored(&found.item)?, found.stored));
                } else {
                    self.tally.without_customer += 1;
                }
            }
            self.tally.from_clickhouse += due.len() as u64;
            self.classify_again(due).await?;
        }
        Ok(())
    }

    async fn classify_again(&mut self, due: Vec<(Candidate, outcry_warehouse::StoredLabels)>) -> anyhow::Result<()> {
        let mut outgoing = Vec::new();
        for (candidate, stored) in due {
            let languages = |brand: &str| self.languages.get(brand).map_or(&[][..], Vec::as_slice);
            let mut payload = Vec::with_capacity(candidate.payload.len() + 1024);
            let found =
                match classify_record(&self.labeller, &mut self.room, languages, &candidate.payload, &mut payload) {
                    Ok(found) => found,
                    Err(Refusal::UnknownVersion(version)) => anyhow::bail!(
                        "item {} has schema version {version}, which this release does not know: upgrade it",
                        candidate.place.item_id
                    ),
                    Err(Refusal::Undecodable(_)) => {
                        self.tally.unreadable += 1;
                        continue;
                    }
                };
            if self.tally.compare(&stored, &found.classifier_version, &labels_by_axis(&found)) && !self.dry_run {
                let mark = (RECLASSIFIED_HEADER.to_owned(), found.classifier_version.into_bytes());
                let topic = self.output.clone();
                outgoing.push(Outgoing { topic, key: candidate.key, payload, headers: vec![mark] });
            }
        }
        self.publish(outgoing).await
    }

    /// All of them at once; in which order does not matter, for no two are the same item.
    async fn publish(&mut self, outgoing: Vec<Outgoing>) -> anyhow::Result<()> {
        let mut deliveries = JoinSet::new();
        for record in outgoing {
            let publisher = self.publisher.clone();
            deliveries.spawn(async move { publisher.publish_record(record).await });
        }
        while let Some(delivery) = deliveries.join_next().await {
            match delivery.context("publishing")? {
                Ok(_) => self.tally.published += 1,
                Err(PublishError::TooLarge { .. }) => self.tally.too_large += 1,
                Err(error) => {
                    return Err(error)
                        .context("publishing new labels; what was published stays, run it again for the rest");
                }
            }
        }
        Ok(())
    }
}

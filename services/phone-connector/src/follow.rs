//! A CDR or CEL file of Asterisk, followed into `items.raw`; checkpoint and coverage after the delivery reports.

use crate::{
    config::{Account, Config},
    item::{CallFact, Raw, Source},
    number::{Numbers, Writing},
    provider::asterisk::Rows,
    tail::{Lines, Place, Tail},
};
use anyhow::Context as _;
use futures::future::try_join_all;
use outcry_domain::{Channel, Coverage, DeadLetter, SCHEMA_VERSION, Timestamp};
use outcry_kafka::{Checkpoints, PublishError, Publisher, Topic};
use outcry_runtime::{Backoff, Context};
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How often the file is looked at, and how often what was read is reported.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const REPORT_EVERY: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;

/// What is remembered of a file. Counts are of one day (UTC), for its coverage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    place: Place,
    day: i64,
    listed: u64,
    produced: u64,
    /// What could not be read that day, in words.
    note: Option<String>,
}

/// Follows one account's file until shutdown.
pub async fn follow(config: Config, account: Account, path: PathBuf, publisher: Publisher, context: Context) {
    let source = Source {
        brand: account.brand.clone(),
        source: format!("phone:{}", account.name),
        provider: account.provider.clone(),
        numbers: Numbers::new(account.region(), Writing::National),
        key: config.identity.customer_key(),
    };
    let health = context.health.component(&source.source);
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    let shutdown = context.shutdown.clone();
    while !shutdown.is_cancelled() {
        let follower = Follower { source: &source, path: path.clone(), publisher: &publisher, context: &context };
        let attempt = follower.run(&config, Rows::new(&account.timezone), || health.ready());
        match shutdown.run_until_cancelled(attempt).await {
            None | Some(Ok(())) => return,
            Some(Err(error)) => {
                let error = format!("{error:#}");
                tracing::error!(source = source.source, error, "file.follow: trying again");
                health.not_ready(error);
                shutdown.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
            }
        }
    }
}

struct Follower<'a> {
    source: &'a Source,
    path: PathBuf,
    publisher: &'a Publisher,
    context: &'a Context,
}

impl Follower<'_> {
    /// Dropped at shutdown: what is not in the checkpoint is read again, and has the same ids.
    async fn run(&self, config: &Config, rows: Rows, ready: impl Fn()) -> anyhow::Result<()> {
        let checkpoints = Checkpoints::open(&config.kafka, self.publisher, &self.source.source).await?;
        let scope = self.path.display().to_string();
        let known: Option<Progress> = checkpoints.get(&scope);
        let reading = || format!("reading {scope}: does it exist, and may this user read it?");
        let mut tail = Tail::resume(&self.path, known.as_ref().map(|known| known.place)).with_context(reading)?;
        let mut progress = known.unwrap_or_default();
        let mut reported: Option<Instant> = None;
        loop {
            let next = tail.next().with_context(reading)?;
            ready();
            progress.begin_day(self.context.clock.now());
            if let Some(gap) = tail.take_gap() {
                tracing::error!(source = self.source.source, file = scope, gap, "file.gap");
                progress.note = Some(gap);
                reported = None;
            }
            if let Some(lines) = &next {
                let header = tail.first_line().with_context(reading)?;
                let (listed, produced) = self.deliver(&rows, header.as_deref(), lines).await?;
                progress.listed += listed;
                progress.produced += produced;
                progress.place = lines.behind;
                checkpoints.save(&scope, &progress).await?;
            }
            if reported.is_none_or(|at| at.elapsed() > REPORT_EVERY) && (progress.listed > 0 || progress.note.is_some())
            {
                let coverage = progress.coverage(self.source, &scope, self.context.clock.now());
                self.publisher.publish_json(Topic::SourceCoverage, &self.source.source, &coverage).await?;
                reported = Some(Instant::now());
            }
            if next.is_none() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Publishes the lines' records; how many there were, and how many became items. The others are dead letters.
    async fn deliver(&self, rows: &Rows, header: Option<&[u8]>, lines: &Lines) -> Result<(u64, u64), PublishError> {
        let header = header.filter(|line| rows.is_header(line));
        let records: Vec<&[u8]> = lines
            .bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty() && Some(*line) != header)
            .collect();
        let now = self.context.clock.now();
        let headed = |lines: &[&[u8]]| [header.unwrap_or_default(), &lines.concat()].concat();
        let (mut items, mut refused) = (Vec::with_capacity(records.len()), Vec::new());
        match rows.parse(&headed(&records)) {
            Ok(facts) if facts.len() == records.len() => {
                let of_record = |(fact, line): (CallFact, &&[u8])| self.source.item(fact, &Raw::of(line), now, now);
                items.extend(facts.into_iter().zip(&records).map(of_record));
            }
            // One of them is broken: each by itself, so that it costs the others nothing.
            _ => {
                for line in &records {
                    match rows.parse(&headed(&[*line])) {
                        Ok(facts) => {
                            items.extend(facts.into_iter().map(|fact| self.source.item(fact, &Raw::of(line), now, now)))
                        }
                        Err(error) => refused.push((self.letter(error.0, now), *line)),
                    }
                }
            }
        }
        let listed = records.len() as u64;
        let produced = items.len() as u64;
        let keys: Vec<String> = items.iter().map(|item| item.case_id.to_string()).collect();
        try_join_all(
            items.iter().zip(&keys).map(|(item, key)| self.publisher.publish_json(Topic::ItemsRaw, key, item)),
        )
        .await?;
        for (letter, line) in refused {
            self.publisher.dead_letter(&letter, None, line).await?;
        }
        Ok((listed, produced))
    }

    fn letter(&self, detail: String, now: Timestamp) -> DeadLetter {
        DeadLetter {
            service: "phone-connector".into(),
            reason: "undecodable".into(),
            detail,
            origin: self.source.source.clone(),
            partition: -1,
            offset: -1,
            received_at: now,
            refused_at: now,
        }
    }
}

impl Progress {
    fn begin_day(&mut self, now: Timestamp) {
        let day = now.as_millis().div_euclid(DAY_MS);
        if day != self.day {
            *self = Self { place: self.place, day, ..Self::default() };
        }
    }

    fn coverage(&self, source: &Source, scope: &str, now: Timestamp) -> Coverage {
        Coverage {
            schema_version: SCHEMA_VERSION,
            brand: source.brand.clone(),
            channel: Channel::Phone,
            source: source.source.clone(),
            scope: scope.to_owned(),
            window_start: Timestamp::from_millis(self.day * DAY_MS),
            window_end: Timestamp::from_millis((self.day + 1) * DAY_MS),
            listed: self.listed,
            produced: self.produced,
            missing: self.listed.saturating_sub(self.produced),
            missing_examples: Vec::new(),
            note: self
                .note
                .clone()
                .or_else(|| (self.produced < self.listed).then(|| "records in dead letters".to_owned())),
            checked_at: now,
            unknown_fields: serde_json::Map::new(),
        }
    }
}

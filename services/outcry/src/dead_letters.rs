//! `outcry dead-letters`: what was refused, why, and sending it again.
//!
//! A replay puts the original bytes, key and headers back on the topic they were read from, and notes in the checkpoints
//! that it did. A letter that was replayed is not replayed again; and if it were, its ids would make the repetition harmless.

mod replay;

use crate::{
    cli::{ConfigFiles, Format, WrongUsage},
    configs, query,
};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use outcry_domain::{DeadLetter, Timestamp};
use outcry_kafka::{Checkpoints, KafkaConfig, Publisher, Record, Topic, read_record, scan};
use outcry_warehouse::{Column, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::str::FromStr;

/// Owner of the marks among the checkpoints.
const OWNER: &str = "dead-letters";

/// `outcry dead-letters`.
#[derive(Debug, Args)]
pub struct DeadLettersArguments {
    /// What to do.
    #[command(subcommand)]
    action: Action,
    /// Configuration.
    #[command(flatten)]
    config: ConfigFiles,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists what was refused, oldest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How to write it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Shows one letter: why on standard error, its bytes as they came on standard output.
    Show {
        /// Which, as the list names it: PARTITION@OFFSET.
        letter: Position,
    },
    /// Sends letters back to the topic they came from. Each is sent once, however often this is run; one that is refused
    /// again becomes a new letter.
    Replay {
        /// Which, as the list names them; all that the filter lets through if none is named.
        letters: Vec<Position>,
        #[command(flatten)]
        filter: Filter,
        /// Only says what would be sent.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Clone, Debug, Args)]
struct Filter {
    /// Only this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Only what came from this topic or source; with or without the prefix.
    #[arg(long)]
    topic: Option<String>,
    /// Refused at this instant or date or later.
    #[arg(long)]
    from: Option<String>,
    /// Refused before this instant or date.
    #[arg(long)]
    to: Option<String>,
}

/// Where a letter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    partition: i32,
    offset: i64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('@').and_then(|(partition, offset)| {
            Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            format!("{text:?} does not name a letter: expected PARTITION@OFFSET as in the list, such as 0@12")
        })
    }
}

/// What is noted of a replayed letter.
#[derive(Debug, Serialize, Deserialize)]
struct Replayed {
    at: Timestamp,
    topic: String,
    partition: i32,
    offset: i64,
}

/// A letter without its bytes.
struct Entry {
    position: Position,
    letter: DeadLetter,
    bytes: usize,
}

/// Does it.
pub async fn run(arguments: &DeadLettersArguments) -> anyhow::Result<()> {
    let kafka = configs::basics(&arguments.config)?.kafka;
    match &arguments.action {
        Action::List { filter, format } => list(&kafka, &filter.resolve(&kafka)?, *format).await,
        Action::Show { letter } => show(&kafka, *letter).await,
        Action::Replay { letters, filter, dry_run } => {
            if !letters.is_empty() && filter.is_any() {
                let both = "name letters, or choose them with --reason, --topic, --from and --to, and not both";
                return Err(WrongUsage(both.into()).into());
            }
            replay::replay(&kafka, letters, &filter.resolve(&kafka)?, *dry_run).await
        }
    }
}

/// A filter whose times and topic were understood.
#[derive(Clone, Debug)]
struct Wanted {
    reason: Option<String>,
    origins: Option<[String; 2]>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    fn is_any(&self) -> bool {
        [&self.reason, &self.topic, &self.from, &self.to].iter().any(|option| option.is_some())
    }

    fn resolve(&self, kafka: &KafkaConfig) -> anyhow::Result<Wanted> {
        Ok(Wanted {
            reason: self.reason.clone(),
            origins: self.topic.as_ref().map(|topic| [topic.clone(), format!("{}{topic}", kafka.topic_prefix)]),
            from: query::instant("--from", self.from.as_deref())?,
            to: query::instant("--to", self.to.as_deref())?,
        })
    }
}

impl Wanted {
    fn lets_through(&self, letter: &DeadLetter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && self.origins.as_ref().is_none_or(|origins| origins.contains(&letter.origin))
            && self.from.is_none_or(|from| letter.refused_at >= from)
            && self.to.is_none_or(|to| letter.refused_at < to)
    }
}

async fn entries(kafka: &KafkaConfig, wanted: &Wanted) -> anyhow::Result<Vec<Entry>> {
    let wanted = wanted.clone();
    let mut found = scan(kafka, &kafka.topic_name(Topic::DeadLetters), move |record| {
        let letter = record.dead_letter()?;
        let position = Position { partition: record.partition, offset: record.offset };
        wanted.lets_through(&letter).then_some(Entry { position, letter, bytes: record.payload.len() })
    })
    .await?;
    found.sort_by_key(|entry| entry.position);
    Ok(found)
}

async fn marks(kafka: &KafkaConfig) -> anyhow::Result<Checkpoints> {
    let publisher = Publisher::new(kafka, "dead-letters")?;
    Ok(Checkpoints::open(kafka, &publisher, OWNER).await?)
}

async fn list(kafka: &KafkaConfig, wanted: &Wanted, format: Format) -> anyhow::Result<()> {
    let (entries, marks) = (entries(kafka, wanted).await?, marks(kafka).await?);
    let column = |name: &str, kind: &str| Column { name: name.into(), kind: kind.into() };
    let columns = ["letter", "refused_at", "service", "reason", "origin", "detail", "bytes", "replayed_at"];
    let rows = entries.iter().map(|entry| {
        let replayed = marks.get::<Replayed>(&entry.position.to_string());
        vec![
            json!(entry.position.to_string()),
            json!(entry.letter.refused_at),
            json!(entry.letter.service),
            json!(entry.letter.reason),
            json!(entry.letter.origin),
            json!(entry.letter.detail),
            json!(entry.bytes),
            json!(replayed.map(|replayed| replayed.at)),
        ]
    });
    let kind = |name: &str| if name == "bytes" { "UInt64" } else { "String" };
    let table = Table { columns: columns.map(|name| column(name, kind(name))).to_vec(), rows: rows.collect() };
    query::write(&table, format)
}

async fn letter_at(kafka: &KafkaConfig, position: Position) -> anyhow::Result<(Record, DeadLetter)> {
    let topic = kafka.topic_name(Topic::DeadLetters);
    let record = read_record(kafka, &topic, position.partition, position.offset).await?;
    let found = record.and_then(|record| record.dead_letter().map(|letter| (record, letter)));
    found
        .ok_or_else(|| WrongUsage(format!("there is no dead letter {position}; see `outcry dead-letters list`")).into())
}

async fn show(kafka: &KafkaConfig, position: Position) -> anyhow::Result<()> {
    use std::io::Write;
    let (record, letter) = letter_at(kafka, position).await?;
    eprintln!("{}", serde_json::to_string_pretty(&letter)?);
    match std::io::stdout().lock().write_all(&record.payload) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("writing the letter"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            service: "classifier".into(),
            reason: "undecodable".into(),
            detail: String::new(),
            origin: "outcry.items.raw".into(),
            partition: 0,
            offset: 1,
            received_at: Timestamp::from_seconds(10),
            refused_at: Timestamp::from_seconds(20),
        }
    }

    #[test]
    fn a_position_reads_as_it_is_written() {
        let position = Position { partition: 3, offset: 41 };
        assert_eq!(position.to_string().parse(), Ok(position));
        assert!("3:41".parse::<Position>().is_err());
    }

    #[test]
    fn a_filter_takes_a_topic_with_or_without_its_prefix_and_times_half_open() {
        let kafka = KafkaConfig::new("x:1", "outcry.");
        let wanted = |topic: Option<&str>, from: Option<&str>, to: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            Filter { reason: None, topic: own(topic), from: own(from), to: own(to) }.resolve(&kafka).unwrap()
        };
        assert!(wanted(Some("items.raw"), None, None).lets_through(&letter()));
        assert!(wanted(Some("outcry.items.raw"), None, None).lets_through(&letter()));
        assert!(!wanted(Some("case.events"), None, None).lets_through(&letter()));
        assert!(wanted(None, Some("1970-01-01T00:00:20Z"), None).lets_through(&letter()));
        assert!(!wanted(None, None, Some("1970-01-01T00:00:20Z")).lets_through(&letter()));
    }
}

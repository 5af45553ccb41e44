//! `outcry reread`: the sinks' consumer group goes back, so that rows that ClickHouse lost are stored again.
//!
//! Safe to repeat and to begin too early: a sink reads back what is stored and inserts only what is missing.

use crate::{
    cli::{ConfigFiles, WrongUsage},
    configs,
};
use clap::Args;
use outcry_kafka::{KafkaConfig, Topic, group_positions, rewind_group};
use std::time::{Duration, Instant};

/// The group of the sinks.
const GROUP: &str = "sink";
/// A sink that was stopped keeps its place in the group for its session, 45 s unless configured.
const PATIENCE: Duration = Duration::from_secs(90);

/// `outcry reread`.
#[derive(Debug, Args)]
pub struct RereadArguments {
    /// Topic that the sinks read, with or without the prefix: items.classified, case.events, source.coverage, dead.letters.
    topic: String,
    /// From where on: PARTITION@OFFSET, as the sink's log names it; every partition from its beginning if none is given.
    from: Vec<String>,
    /// Configuration.
    #[command(flatten)]
    config: ConfigFiles,
}

/// Does it.
pub async fn run(arguments: &RereadArguments) -> anyhow::Result<()> {
    let kafka = configs::basics(&arguments.config)?.kafka;
    let topic = topic(&kafka, &arguments.topic)?;
    let positions = group_positions(&kafka, GROUP, topic).await?;
    let mut from = arguments.from.iter().map(|text| position(text)).collect::<Result<Vec<_>, _>>()?;
    if from.is_empty() {
        from = positions.keys().map(|partition| (*partition, 0)).collect();
    }
    for (partition, offset) in &from {
        let Some(position) = positions.get(partition) else {
            return Err(WrongUsage(format!("{} has no partition {partition}", arguments.topic)).into());
        };
        // Forwards would pass records over.
        let committed = position.committed.unwrap_or_default();
        if *offset > committed {
            let ahead =
                format!("the sinks have read {partition} only to {committed}: {offset} would leave records out");
            return Err(WrongUsage(ahead).into());
        }
    }
    let begun = Instant::now();
    let mut told = false;
    while let Err(error) = rewind_group(&kafka, GROUP, topic, &from).await {
        if begun.elapsed() > PATIENCE || !error.is_group_in_use() {
            return Err(error.into());
        }
        if !told {
            eprintln!("the group is in use: stop every sink; waiting until the last one's session ends");
            told = true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (partition, offset) in from {
        eprintln!("{}/{partition} will be read again from {offset}", kafka.topic_name(topic));
    }
    eprintln!("start the sinks again; what is stored already is not stored again");
    Ok(())
}

fn topic(kafka: &KafkaConfig, name: &str) -> Result<Topic, WrongUsage> {
    let read = [Topic::ItemsClassified, Topic::CaseEvents, Topic::SourceCoverage, Topic::DeadLetters];
    let found = read.into_iter().find(|topic| topic.as_str() == name || kafka.topic_name(*topic) == name);
    found.ok_or_else(|| {
        let names = read.map(Topic::as_str).join(", ");
        WrongUsage(format!("the sinks do not read {name:?}; they read {names}"))
    })
}

fn position(text: &str) -> Result<(i32, i64), WrongUsage> {
    let parsed = text.split_once('@').and_then(|(partition, offset)| {
        let offset = offset.parse::<i64>().ok().filter(|offset| *offset >= 0)?;
        Some((partition.parse().ok()?, offset))
    });
    parsed.ok_or_else(|| WrongUsage(format!("{text:?} is not PARTITION@OFFSET, such as 0@12")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_goes_by_either_name_and_a_position_must_be_one() {
        let kafka = KafkaConfig::new("x:1", "outcry.");
        assert_eq!(topic(&kafka, "items.classified").unwrap(), Topic::ItemsClassified);
        assert_eq!(topic(&kafka, "outcry.case.events").unwrap(), Topic::CaseEvents);
        assert!(topic(&kafka, "items.raw").unwrap_err().to_string().contains("items.classified"));
        assert_eq!(position("3@17").unwrap(), (3, 17));
        assert!(position("3@-1").is_err() && position("3").is_err());
    }
}

//! Letters go back to the topic they were read from.

use super::{OWNER, Position, Replayed, Wanted, letter_at};
use anyhow::Context as _;
use outcry_domain::DeadLetter;
use outcry_kafka::{Checkpoints, KafkaConfig, Outgoing, Publisher, Record, Topic, read_record, scan};
use outcry_runtime::{Clock, SystemClock};

/// Letters that are read ahead of the one being sent; a letter may have 12 MB.
const READ_AHEAD: usize = 8;
/// Says of a record which letter it was.
const REPLAYED_FROM: &str = "outcry.replayed_from";

/// How many letters went which way.
#[derive(Default)]
struct Counts {
    sent: u64,
    before: u64,
    cannot: u64,
}

struct Replay<'a> {
    kafka: &'a KafkaConfig,
    publisher: Publisher,
    marks: Checkpoints,
    dry_run: bool,
    counts: Counts,
}

/// Sends the letters of these positions, or all that are wanted if none is named.
pub(super) async fn replay(
    kafka: &KafkaConfig,
    named: &[Position],
    wanted: &Wanted,
    dry_run: bool,
) -> anyhow::Result<()> {
    let publisher = Publisher::new(kafka, "dead-letters")?;
    let marks = Checkpoints::open(kafka, &publisher, OWNER).await?;
    let mut replay = Replay { kafka, publisher, marks, dry_run, counts: Counts::default() };
    if named.is_empty() {
        replay.all(wanted).await?;
    }
    for position in named {
        let (record, letter) = letter_at(kafka, *position).await?;
        replay.one(*position, record, &letter).await?;
    }
    let Counts { sent, before, cannot } = replay.counts;
    let verb = if dry_run { "would be replayed" } else { "replayed" };
    eprintln!("{sent} {verb}, {before} were replayed before, {cannot} cannot be");
    Ok(())
}

impl Replay<'_> {
    /// Reads the topic once and sends while it reads.
    async fn all(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        let (sender, mut letters) = tokio::sync::mpsc::channel(READ_AHEAD);
        let (kafka, wanted) = (self.kafka.clone(), wanted.clone());
        let reading = tokio::spawn(async move {
            scan(&kafka, &kafka.topic_name(Topic::DeadLetters), move |record| {
                let letter = record.dead_letter().filter(|letter| wanted.lets_through(letter))?;
                // Nobody receives any more when a replay failed; the rest is read for nothing.
                let _ = sender.blocking_send((record, letter));
                None::<()>
            })
            .await
        });
        while let Some((record, letter)) = letters.recv().await {
            let position = Position { partition: record.partition, offset: record.offset };
            self.one(position, record, &letter).await?;
        }
        reading.await.context("reading the dead letters")??;
        Ok(())
    }

    async fn one(&mut self, position: Position, record: Record, letter: &DeadLetter) -> anyhow::Result<()> {
        if self.marks.get::<Replayed>(&position.to_string()).is_some() {
            self.counts.before += 1;
            return Ok(());
        }
        let Some(topic) = self.kafka.topic_of_name(&letter.origin).filter(|topic| *topic != Topic::DeadLetters) else {
            eprintln!("{position}: came from {}, which is no topic; its sender must send it again", letter.origin);
            self.counts.cannot += 1;
            return Ok(());
        };
        let Some(outgoing) = self.outgoing(topic, position, record, letter).await? else {
            eprintln!("{position}: only its beginning was kept, and the whole of it is no longer in {}", letter.origin);
            self.counts.cannot += 1;
            return Ok(());
        };
        self.counts.sent += 1;
        if self.dry_run {
            eprintln!("{position}: would go to {}", letter.origin);
            return Ok(());
        }
        let delivered =
            self.publisher.publish_record(outgoing).await.with_context(|| format!("replaying {position}"))?;
        let mark = Replayed {
            at: SystemClock.now(),
            topic: letter.origin.clone(),
            partition: delivered.partition,
            offset: delivered.offset,
        };
        let noted = self.marks.save(&position.to_string(), &mark).await;
        noted.with_context(|| format!("noting that {position} was replayed"))
    }

    /// What is sent: the bytes, key and headers that were refused. `None` if they are nowhere any more.
    async fn outgoing(
        &self,
        topic: Topic,
        position: Position,
        record: Record,
        letter: &DeadLetter,
    ) -> anyhow::Result<Option<Outgoing>> {
        let mut headers = original_headers(&record);
        headers.push((REPLAYED_FROM.into(), position.to_string().into_bytes()));
        let payload = if is_cut(letter) {
            match read_record(self.kafka, &letter.origin, letter.partition, letter.offset).await? {
                // The same record, and not one of a topic that was made anew.
                Some(whole) if whole.payload.starts_with(&record.payload) => whole.payload,
                _ => return Ok(None),
            }
        } else {
            record.payload
        };
        let key = record.key.unwrap_or_default();
        Ok(Some(Outgoing { topic: self.kafka.topic_name(topic), key, payload, headers }))
    }
}

/// The headers that the record had when it was refused; of an earlier replay only the last is kept.
fn original_headers(record: &Record) -> Vec<(String, Vec<u8>)> {
    let original = record.original_headers().filter(|(name, _)| *name != REPLAYED_FROM);
    original.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// A record too large for dead letters keeps its beginning only, and its letter says so.
fn is_cut(letter: &DeadLetter) -> bool {
    letter.detail.ends_with(" bytes)") && letter.detail.contains("(kept: the first ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gets_its_own_headers_back_and_no_others() {
        let header = |name: &str| (name.to_owned(), name.as_bytes().to_vec());
        let names = ["outcry.reason", "original.trace", "original.outcry.replayed_from", "trace"];
        let record = Record {
            topic: "outcry.dead.letters".into(),
            partition: 0,
            offset: 1,
            timestamp_ms: 0,
            key: None,
            payload: Vec::new(),
            headers: names.map(header).to_vec(),
        };
        assert_eq!(original_headers(&record), [("trace".to_owned(), b"original.trace".to_vec())]);
    }
}

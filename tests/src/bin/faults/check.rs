//! The invariants over what is stored, by set difference with the ledger.

use crate::{load::Ledger, report::Row, trial::RECOVERY};
use anyhow::{Context, Result};
use outcry_domain::ClassifiedItem;
use outcry_kafka::{Topic, group_positions, scan};
use outcry_tests::{Pipeline, difference};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Within which a refused record is in the view.
const LETTERS: Duration = Duration::from_secs(10);

/// I1, I2, I3, I5 and I9, and that nothing is there which nobody sent.
pub async fn items(pipeline: &Pipeline<'_>, ledger: &Ledger, row: &mut Row) -> Result<()> {
    // As migrator: an analyst's answers are limited to a million rows.
    let view = "SELECT toString(item_id), hex(SHA256(text)) FROM {db}.items WHERE endsWith(source, ':load')";
    let rows = pipeline.ask_as("migrator", view).await?;
    let mut ids = Vec::with_capacity(rows.len());
    let mut changed = 0;
    for line in &rows {
        let (id, sha256) = line.split_once('\t').with_context(|| format!("reading {line:?}"))?;
        changed += u64::from(ledger.get(id).is_some_and(|entry| entry.text_sha256 != sha256));
        ids.push(id.to_owned());
    }
    let found = difference(&ledger.keys().cloned().collect(), ids);
    row.acknowledged += ledger.len() as u64;
    row.lost += found.lost.len() as u64;
    row.doubled += found.doubled.len() as u64;
    if !found.lost.is_empty() || !found.doubled.is_empty() {
        row.notes.push(found.to_string());
        row.notes.push(whereabouts(pipeline, ledger, &found.lost).await);
    }
    if !found.unexpected.is_empty() {
        row.problems.push(format!("in the view and never acknowledged: {}", found.unexpected.len()));
    }
    if changed > 0 {
        row.problems.push(format!("I3: the text of {changed} items is not what was sent"));
    }
    totals(pipeline, ledger, row).await?;
    // One row for each Kafka position, however often the position was written.
    let twice = "SELECT count() - uniqExact(kafka_epoch, kafka_partition, kafka_offset) FROM {db}.stored_items";
    row.physical_duplicates += pipeline.number(twice).await?;
    Ok(())
}

/// I4: what is committed and not stored, in words. An error when a server does not answer.
pub async fn commits(pipeline: &Pipeline<'_>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    // Kafka first: what is committed now must be stored by the time that ClickHouse is asked.
    for (partition, position) in group_positions(&pipeline.kafka(), "sink", Topic::ItemsClassified).await? {
        let committed = position.committed.unwrap_or(0);
        let absent = format!(
            "SELECT number FROM numbers({committed}) WHERE number NOT IN \
             (SELECT kafka_offset FROM {{db}}.stored_items WHERE kafka_partition = {partition})"
        );
        let absent: BTreeSet<i64> =
            pipeline.ask_as("migrator", &absent).await?.iter().filter_map(|offset| offset.parse().ok()).collect();
        let missing = if absent.is_empty() { 0 } else { missing(pipeline, partition, absent).await? };
        if missing > 0 {
            problems.push(format!(
                "I4: partition {partition} is committed to {committed}; {missing} items below are not stored"
            ));
        }
    }
    Ok(problems)
}

/// How many items of these offsets are stored nowhere. A repeated item in one INSERT leaves one row, at the later offset;
/// what is no item has no row.
async fn missing(pipeline: &Pipeline<'_>, partition: i32, absent: BTreeSet<i64>) -> Result<u64> {
    let kafka = pipeline.kafka();
    let topic = kafka.topic_name(Topic::ItemsClassified);
    let ids = scan(&kafka, &topic, move |record| {
        let wanted = record.partition == partition && absent.contains(&record.offset);
        let row = wanted.then(|| serde_json::from_slice::<ClassifiedItem>(&record.payload).ok()).flatten()?;
        Some(row.item.item_id.to_string())
    });
    let ids: BTreeSet<String> = ids.await?.into_iter().collect();
    let listed = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
    if listed.is_empty() {
        return Ok(0);
    }
    let stored = format!("SELECT uniqExact(item_id) FROM {{db}}.stored_items WHERE item_id IN ({listed})");
    Ok((ids.len() as u64).saturating_sub(pipeline.number(&stored).await?))
}

/// I6: what was refused is in dead letters to the byte, each once, and nothing else is.
pub async fn dead_letters(pipeline: &Pipeline<'_>, expected: &BTreeMap<String, u64>, row: &mut Row) -> Result<()> {
    let question = "SELECT hex(SHA256(payload)) AS sha, count() FROM {db}.stored_dead_letters FINAL GROUP BY sha";
    let begun = Instant::now();
    loop {
        let mut found = BTreeMap::new();
        for line in pipeline.ask_as("migrator", question).await? {
            let (sha256, count) = line.split_once('\t').with_context(|| format!("reading {line:?}"))?;
            found.insert(sha256.to_owned(), count.parse::<u64>().with_context(|| format!("reading {line:?}"))?);
        }
        if found == *expected {
            return Ok(());
        }
        // They take a way of their own: refused, published, read again, stored.
        if begun.elapsed() > LETTERS && found.len() >= expected.len() || begun.elapsed() > LETTERS * 3 {
            let strangers = found.keys().filter(|sha256| !expected.contains_key(*sha256)).count();
            let missing = expected.keys().filter(|sha256| !found.contains_key(*sha256)).count();
            row.problems
                .push(format!("I6: dead letters: {missing} missing or changed, {strangers} that do not belong there"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Accepted webhooks against the events in the view.
pub async fn calls(pipeline: &Pipeline<'_>, accepted: &BTreeSet<String>, row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    let found =
        pipeline.compare(accepted, "SELECT toString(call_sequence) FROM {db}.items WHERE channel = 'phone'", RECOVERY);
    let found = found.await?;
    row.heal_seconds = row.heal_seconds.max(begun.elapsed().as_secs_f64());
    row.acknowledged += accepted.len() as u64;
    row.lost += found.lost.len() as u64;
    row.doubled += found.doubled.len() as u64;
    if !found.lost.is_empty() || !found.doubled.is_empty() {
        row.notes.push(found.to_string());
    }
    // An event whose answer the provider never saw may well be there: it was stored, and would have been posted again.
    Ok(())
}

/// Where what is lost was sent, and on which side of the sink it went missing.
async fn whereabouts(pipeline: &Pipeline<'_>, ledger: &Ledger, lost: &[String]) -> String {
    let sent: BTreeSet<_> = lost.iter().filter_map(|id| ledger.get(id)).map(|entry| entry.position).collect();
    let first: Vec<_> = sent.iter().take(5).map(|(partition, offset)| format!("{partition}@{offset}")).collect();
    let wanted: BTreeSet<String> = lost.iter().cloned().collect();
    let kafka = pipeline.kafka();
    let topic = kafka.topic_name(Topic::ItemsClassified);
    let found = scan(&kafka, &topic, move |record| {
        let row = serde_json::from_slice::<ClassifiedItem>(&record.payload).ok()?;
        let id = row.item.item_id.to_string();
        wanted.contains(&id).then(|| format!("{}@{}", record.partition, record.offset))
    });
    let found = found.await.map_or_else(
        |error| error.to_string(),
        |at| format!("{}: {:?}", at.len(), at.iter().take(5).collect::<Vec<_>>()),
    );
    format!("lost ones were sent to {first:?} (partition@offset); of them in items.classified {found}")
}

/// I5: what a report counts, hour by hour and category by category.
async fn totals(pipeline: &Pipeline<'_>, ledger: &Ledger, row: &mut Row) -> Result<()> {
    let with_categories = ledger.values().any(|entry| entry.category.is_some());
    let category = if with_categories { "category" } else { "''" };
    let question = format!(
        "SELECT concat(toString(toUnixTimestamp(toStartOfHour(effective_at))), ' ', {category}) AS cell, count() FROM {{db}}.items WHERE endsWith(source, ':load') GROUP BY cell"
    );
    let mut expected = BTreeMap::<String, u64>::new();
    for entry in ledger.values() {
        *expected.entry(format!("{} {}", entry.hour, entry.category.unwrap_or_default())).or_default() += 1;
    }
    let mut counted = BTreeMap::new();
    for line in pipeline.ask(&question).await? {
        let (cell, count) = line.split_once('\t').with_context(|| format!("reading {line:?}"))?;
        counted.insert(cell.to_owned(), count.parse::<u64>().with_context(|| format!("reading {line:?}"))?);
    }
    if counted != expected {
        let differing = expected.iter().filter(|(cell, count)| counted.get(*cell) != Some(count)).count();
        row.problems.push(format!("I5: {differing} of {} totals by hour and category differ", expected.len()));
    }
    Ok(())
}

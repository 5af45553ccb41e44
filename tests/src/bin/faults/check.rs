//! The invariants over what is stored, by set difference with the ledger.

use crate::{load::Ledger, report::Row};
use anyhow::{Context, Result};
use outcry_tests::{Pipeline, difference};
use std::collections::BTreeMap;

/// I1, I2, I3, I5 and I9, and that nothing is there which nobody sent.
pub async fn items(pipeline: &Pipeline<'_>, ledger: &Ledger, row: &mut Row) -> Result<()> {
    // As migrator: an analyst's answers are limited to a million rows.
    let view = "SELECT toString(item_id), hex(SHA256(text)) FROM {db}.items";
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
    let letters = pipeline.number("SELECT count() FROM {db}.dead_letters").await?;
    if letters > 0 {
        row.problems.push(format!("I6: {letters} good items are in dead letters"));
    }
    Ok(())
}

/// I5: what a report counts, hour by hour and category by category.
async fn totals(pipeline: &Pipeline<'_>, ledger: &Ledger, row: &mut Row) -> Result<()> {
    let with_categories = ledger.values().any(|entry| entry.category.is_some());
    let category = if with_categories { "category" } else { "''" };
    let question = format!(
        "SELECT concat(toString(toUnixTimestamp(toStartOfHour(effective_at))), ' ', {category}) AS cell, count() FROM {{db}}.items GROUP BY cell"
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

//! What a run found: counts, and which labels change from what to what. Pure.

use outcry_warehouse::{Column, StoredLabels, Table};
use serde_json::json;
use std::collections::BTreeMap;

/// A score has a hundred values: that it changed counts, from what to what is no label.
const SCORE: &str = "urgency_score";

/// What a run found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items read from Kafka.
    pub from_kafka: u64,
    /// Items read from ClickHouse.
    pub from_clickhouse: u64,
    /// Published with new labels.
    pub published: u64,
    /// In Kafka, not in ClickHouse.
    pub absent: u64,
    /// Records of an item of which another sighting is stored.
    pub other_sightings: u64,
    /// Items of ClickHouse whose customer's address is not there any more.
    pub without_customer: u64,
    /// Records that are no items.
    pub unreadable: u64,
    /// Larger, with their labels, than a record may be.
    pub too_large: u64,
    /// Items with a label that changes.
    relabelled: u64,
    /// Items of which only the score or the version changes.
    renumbered: u64,
    /// Items by axis, old and new label.
    changes: BTreeMap<(&'static str, String, String), u64>,
}

impl Tally {
    /// Counts an item. `true` if its row must be replaced.
    pub fn compare(&mut self, stored: &StoredLabels, version: &str, labels: &[(&'static str, String)]) -> bool {
        let mut relabelled = false;
        for ((axis, new), (_, old)) in labels.iter().zip(&stored.labels) {
            if new != old && *axis != SCORE {
                relabelled = true;
                *self.changes.entry((axis, old.clone(), new.clone())).or_default() += 1;
            }
        }
        let replaced = stored.classifier_version != version || stored.labels != labels;
        self.relabelled += u64::from(relabelled);
        self.renumbered += u64::from(replaced && !relabelled);
        replaced
    }

    /// One row for each change: axis, from, to, items; the most frequent of an axis first.
    pub fn table(&self) -> Table {
        let column = |name: &str, kind: &str| Column { name: name.into(), kind: kind.into() };
        let mut changes: Vec<_> = self.changes.iter().collect();
        changes.sort_by_key(|((axis, ..), items)| (*axis, std::cmp::Reverse(**items)));
        let rows =
            changes.iter().map(|((axis, from, to), items)| vec![json!(axis), json!(from), json!(to), json!(items)]);
        let columns =
            vec![column("axis", "String"), column("from", "String"), column("to", "String"), column("items", "UInt64")];
        Table { columns, rows: rows.collect() }
    }

    /// The run in a few lines.
    pub fn summary(&self, version: &str, dry_run: bool) -> String {
        let labels: u64 = self.changes.values().sum();
        let unchanged = self.from_kafka + self.from_clickhouse - self.relabelled - self.renumbered;
        let (change, keep) = if dry_run { ("would change", "would get") } else { ("change", "get") };
        let mut lines = vec![
            format!(
                "read {} items ({} from Kafka, {} from ClickHouse) with classifier {version}",
                self.from_kafka + self.from_clickhouse,
                self.from_kafka,
                self.from_clickhouse
            ),
            format!(
                "{labels} labels {change}, on {} items; {} items {keep} only another version or score, {unchanged} stay as they are",
                self.relabelled, self.renumbered
            ),
        ];
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                lines.push(format!("{count} {what}"));
            }
        };
        note(self.published, "items published; the views have their labels when the sink has read them");
        note(
            self.absent,
            "items of Kafka are not in ClickHouse (not stored yet, or removed there) and were left alone",
        );
        note(self.without_customer, "items have lost their customer's address in ClickHouse, and were left alone");
        note(self.other_sightings, "records are other sightings of an item than the stored one");
        note(self.unreadable, "records are no items; see `outcry dead-letters list`");
        note(self.too_large, "items are too large with their new labels, and keep the old ones");
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outcry_domain::Timestamp;

    fn labels(kind: &str, score: &str) -> Vec<(&'static str, String)> {
        vec![("kind", kind.to_owned()), (SCORE, score.to_owned())]
    }

    fn stored(version: &str, kind: &str, score: &str) -> StoredLabels {
        let (classifier_version, labels) = (version.to_owned(), labels(kind, score));
        StoredLabels { ingested_at: Timestamp::UNKNOWN, classifier_version, labels }
    }

    #[test]
    fn what_is_the_same_stays_and_a_new_version_alone_is_worth_a_new_row() {
        let mut tally = Tally { from_kafka: 5, ..Tally::default() };
        assert!(!tally.compare(&stored("2", "complaint", "40"), "2", &labels("complaint", "40")));
        assert!(tally.compare(&stored("1", "complaint", "40"), "2", &labels("complaint", "40")));
        assert!(tally.compare(&stored("2", "complaint", "40"), "2", &labels("complaint", "41")));
        assert!(tally.compare(&stored("1", "complaint", "40"), "2", &labels("question", "10")));
        assert!(tally.compare(&stored("2", "complaint", "40"), "2", &labels("question", "40")));
        let summary = tally.summary("2", true);
        assert!(summary.contains("2 labels would change, on 2 items; 2 items would get only another"), "{summary}");
        assert!(summary.contains("1 stay as they are") && !summary.contains("published"), "{summary}");
        assert_eq!(tally.table().rows, [[json!("kind"), json!("complaint"), json!("question"), json!(2)]]);
    }

    #[test]
    fn the_most_frequent_change_of_an_axis_stands_first() {
        let mut tally = Tally::default();
        for (from, to) in [("a", "b"), ("c", "d"), ("c", "d")] {
            tally.compare(&stored("1", from, "0"), "1", &labels(to, "0"));
        }
        let order: Vec<_> = tally.table().rows.into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(order, [json!("c"), json!("a")]);
    }
}

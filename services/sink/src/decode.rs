//! From a record to a row of its topic's table.

use outcry_domain::{
    CaseEvent, ClassifiedItem, Coverage, DeadLetter, SCHEMA_VERSION, Timestamp,
    schema::{describe_json_error, stated_version},
};
use outcry_kafka::{Record, Topic};
use outcry_warehouse::{Batch, DeadLetterRow, StoredTable};
use serde::de::DeserializeOwned;

/// Why a record gave no row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It can never be used.
    Rejected {
        /// Short and countable.
        reason: &'static str,
        /// What exactly, without the payload.
        detail: String,
    },
    /// A newer producer wrote it; a newer sink can read it.
    UnknownVersion(u16),
}

/// The table of a topic that the sink reads.
pub(crate) fn table_of(topic: Topic) -> StoredTable {
    match topic {
        Topic::CaseEvents => StoredTable::CaseEvents,
        Topic::SourceCoverage => StoredTable::Coverage,
        Topic::DeadLetters => StoredTable::DeadLetters,
        Topic::ItemsRaw | Topic::ItemsClassified | Topic::Checkpoints => StoredTable::Items,
    }
}

/// Adds the record's row to the batch.
pub(crate) fn push(batch: &mut Batch, table: StoredTable, record: &Record) -> Result<(), Refusal> {
    let offset = u64::try_from(record.offset).unwrap_or_default();
    match table {
        StoredTable::Items => {
            let row: ClassifiedItem = versioned(&record.payload, |row: &ClassifiedItem| row.item.schema_version)?;
            batch.push(offset, &row);
        }
        StoredTable::CaseEvents => {
            let row: CaseEvent = versioned(&record.payload, |row: &CaseEvent| row.schema_version)?;
            batch.push(offset, &row);
        }
        StoredTable::Coverage => {
            let row: Coverage = versioned(&record.payload, |row: &Coverage| row.schema_version)?;
            batch.push(offset, &row);
        }
        StoredTable::DeadLetters => {
            // A dead letter is never refused: there is nowhere further to go.
            let letter = record.dead_letter().unwrap_or_else(|| undescribed(record));
            batch
                .push(offset, &DeadLetterRow { letter: &letter, key: record.key.as_deref(), payload: &record.payload });
        }
    }
    Ok(())
}

fn undescribed(record: &Record) -> DeadLetter {
    let at = Timestamp::from_millis(record.timestamp_ms);
    DeadLetter {
        service: "unknown".into(),
        reason: "undescribed".into(),
        detail: "the record carries no description of why it was refused".into(),
        origin: record.topic.to_string(),
        partition: record.partition,
        offset: record.offset,
        received_at: at,
        refused_at: at,
    }
}

fn versioned<T: DeserializeOwned>(payload: &[u8], version: impl Fn(&T) -> u16) -> Result<T, Refusal> {
    let error = match serde_json::from_slice::<T>(payload) {
        Ok(row) if version(&row) == SCHEMA_VERSION => return Ok(row),
        Ok(row) => return Err(Refusal::UnknownVersion(version(&row))),
        Err(error) => error,
    };
    match stated_version(payload) {
        Some(version) if version != SCHEMA_VERSION => Err(Refusal::UnknownVersion(version)),
        _ => Err(Refusal::Rejected { reason: "undecodable", detail: describe_json_error(&error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(payload: &[u8]) -> Refusal {
        versioned(payload, |row: &CaseEvent| row.schema_version).unwrap_err()
    }

    #[test]
    fn a_newer_version_is_told_from_rubbish() {
        assert_eq!(refusal(br#"{"schema_version":2,"anything":"else"}"#), Refusal::UnknownVersion(2));
        assert_eq!(refusal(br#"{"item":{"schema_version":7}}"#), Refusal::UnknownVersion(7));
        for rubbish in [
            &b""[..],
            b"{",
            b"[1,2]",
            b"[7]",
            b"{\"schema_version\":1}",
            b"\xff\xfe",
            br#"{"schema_version":1,"brand":"\ud800"}"#,
        ] {
            assert!(matches!(refusal(rubbish), Refusal::Rejected { reason: "undecodable", .. }), "{rubbish:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_bad_record_does_not_quote_it() {
        let Refusal::Rejected { detail, .. } = refusal(br#"{"schema_version":1,"brand":["ana@example.org"]}"#) else {
            panic!("not rejected");
        };
        assert!(!detail.contains("ana@"), "{detail}");
    }
}

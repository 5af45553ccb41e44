//! Case events, coverage and dead letters as rows.

use super::{DeadLetterRow, ID, KafkaPosition, OPTIONAL_TIME, Row, StoredTable, TEXT, TEXTS, TIME, WORD};
use crate::RowBuffer;
use outcry_domain::{CaseAction, CaseEvent, Coverage, Timestamp};
use sha2::{Digest, Sha256};

pub(super) const CASE_EVENT_COLUMNS: &[(&str, &str)] = &[
    ("event_id", ID),
    ("case_id", ID),
    ("brand", WORD),
    ("schema_version", "UInt16"),
    ("occurred_at", TIME),
    ("ingested_at", TIME),
    ("actor", WORD),
    ("action", WORD),
    ("text", TEXT),
    ("due_at", OPTIONAL_TIME),
    ("compensation_value", TEXT),
    ("compensation_currency", WORD),
    ("satisfaction_score", "Nullable(UInt8)"),
    ("contact_id", ID),
    ("label_axis", WORD),
    ("label", WORD),
    ("customer_id", ID),
    ("same_as", ID),
    ("unknown_fields", TEXT),
    ("kafka_epoch", "UInt16"),
    ("kafka_partition", "UInt32"),
    ("kafka_offset", "UInt64"),
];

pub(super) const COVERAGE_COLUMNS: &[(&str, &str)] = &[
    ("brand", WORD),
    ("channel", WORD),
    ("source", WORD),
    ("scope", TEXT),
    ("window_start", TIME),
    ("window_end", TIME),
    ("schema_version", "UInt16"),
    ("listed", "UInt64"),
    ("produced", "UInt64"),
    ("missing", "UInt64"),
    ("missing_examples", TEXTS),
    ("note", TEXT),
    ("checked_at", TIME),
    ("unknown_fields", TEXT),
    ("kafka_epoch", "UInt16"),
    ("kafka_partition", "UInt32"),
    ("kafka_offset", "UInt64"),
];

pub(super) const DEAD_LETTER_COLUMNS: &[(&str, &str)] = &[
    ("dead_letter_id", ID),
    ("service", WORD),
    ("reason", WORD),
    ("detail", TEXT),
    ("origin", WORD),
    ("origin_partition", "Int32"),
    ("origin_offset", "Int64"),
    ("received_at", TIME),
    ("refused_at", TIME),
    ("record_key", TEXT),
    ("payload", TEXT),
    ("kafka_epoch", "UInt16"),
    ("kafka_partition", "UInt32"),
    ("kafka_offset", "UInt64"),
];

/// The columns that only some actions fill.
#[derive(Default)]
struct Details<'a> {
    text: &'a str,
    due_at: Option<Timestamp>,
    compensation: (&'a str, &'a str),
    score: Option<u8>,
    correction: (u128, &'a str, &'a str),
    customers: (u128, u128),
}

fn details(action: &CaseAction) -> Details<'_> {
    let empty = Details::default();
    match action {
        CaseAction::Taken | CaseAction::Reopened => empty,
        CaseAction::Solved { resolution: text } | CaseAction::FollowUp { text } => {
            Details { text: text.as_deref().unwrap_or_default(), ..empty }
        }
        CaseAction::Commitment { text, due_at } => Details { text, due_at: *due_at, ..empty },
        CaseAction::PreventionIdea { text } => Details { text, ..empty },
        CaseAction::Compensation { value, currency } => Details { compensation: (value, currency), ..empty },
        CaseAction::Satisfaction { score } => Details { score: Some(*score), ..empty },
        CaseAction::LabelCorrection { contact_id, axis, label } => {
            Details { correction: (contact_id.0, axis, label), ..empty }
        }
        CaseAction::CustomerLink { customer_id, same_as } | CaseAction::CustomerUnlink { customer_id, same_as } => {
            Details { customers: (customer_id.0, same_as.0), ..empty }
        }
    }
}

impl Row for CaseEvent {
    const TABLE: StoredTable = StoredTable::CaseEvents;

    fn encode(&self, position: KafkaPosition, row: &mut RowBuffer) {
        let details = details(&self.action);
        row.uuid(self.event_id.0);
        row.uuid(self.case_id.0);
        row.string(&self.brand);
        row.u16(self.schema_version);
        row.time(self.occurred_at);
        row.time(self.ingested_at);
        row.optional_string(self.actor.as_ref());
        row.string(self.action.as_str());
        row.string(details.text);
        row.nullable(details.due_at, RowBuffer::time);
        row.string(details.compensation.0);
        row.string(details.compensation.1);
        row.nullable(details.score, RowBuffer::u8);
        row.uuid(details.correction.0);
        row.string(details.correction.1);
        row.string(details.correction.2);
        row.uuid(details.customers.0);
        row.uuid(details.customers.1);
        row.json_object(&self.unknown_fields);
        position.encode(row);
    }
}

impl Row for Coverage {
    const TABLE: StoredTable = StoredTable::Coverage;

    fn encode(&self, position: KafkaPosition, row: &mut RowBuffer) {
        row.string(&self.brand);
        row.string(self.channel.as_str());
        row.string(&self.source);
        row.string(&self.scope);
        row.time(self.window_start);
        row.time(self.window_end);
        row.u16(self.schema_version);
        row.u64(self.listed);
        row.u64(self.produced);
        row.u64(self.missing);
        row.strings(&self.missing_examples);
        row.optional_string(self.note.as_ref());
        row.time(self.checked_at);
        row.json_object(&self.unknown_fields);
        position.encode(row);
    }
}

impl Row for DeadLetterRow<'_> {
    const TABLE: StoredTable = StoredTable::DeadLetters;

    fn encode(&self, position: KafkaPosition, row: &mut RowBuffer) {
        let letter = self.letter;
        row.uuid(self.id());
        row.string(&letter.service);
        row.string(&letter.reason);
        row.string(&letter.detail);
        row.string(&letter.origin);
        row.i32(letter.partition);
        row.i64(letter.offset);
        row.time(letter.received_at);
        row.time(letter.refused_at);
        row.optional_string(self.key);
        row.string(self.payload);
        position.encode(row);
    }
}

impl DeadLetterRow<'_> {
    /// A record refused twice is one dead letter; what never reached Kafka is told apart by the time of its receipt, so that
    /// the same bytes sent twice are two.
    fn id(&self) -> u128 {
        let letter = self.letter;
        let received = if letter.offset < 0 { letter.received_at.as_millis() } else { 0 };
        let mut hasher = Sha256::new();
        for text in [letter.service.as_bytes(), letter.origin.as_bytes()] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        hasher.update(letter.partition.to_be_bytes());
        hasher.update(letter.offset.to_be_bytes());
        hasher.update(received.to_be_bytes());
        hasher.update(self.payload);
        hasher.finalize().iter().take(16).fold(0, |value, byte| (value << 8) | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outcry_domain::DeadLetter;

    #[test]
    fn a_record_refused_twice_is_one_dead_letter_and_the_same_bytes_received_twice_are_two() {
        let letter = |offset: i64, received: i64, refused: i64| DeadLetter {
            service: "classifier".into(),
            reason: "undecodable".into(),
            detail: String::new(),
            origin: "items.raw".into(),
            partition: if offset < 0 { -1 } else { 3 },
            offset,
            received_at: Timestamp::from_millis(received),
            refused_at: Timestamp::from_millis(refused),
        };
        let id = |letter: &DeadLetter| DeadLetterRow { letter, key: None, payload: b"{" }.id();
        assert_eq!(id(&letter(7, 1, 2)), id(&letter(7, 1, 9)));
        assert_ne!(id(&letter(7, 1, 2)), id(&letter(8, 1, 2)));
        assert_eq!(id(&letter(-1, 1, 2)), id(&letter(-1, 1, 9)));
        assert_ne!(id(&letter(-1, 1, 2)), id(&letter(-1, 2, 2)));
    }
}

//! Storing a batch, and saying exactly what is known of the outcome.

use crate::{
    Batch, Fence, StoredTable, Warehouse,
    client::{Answer, NoAnswer, Request},
    error::advice,
    fence::literal,
};
use uuid::Uuid;

/// The outcome of one INSERT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertResult {
    /// Every row is stored, on disk.
    Stored,
    /// Someone else took the partition's fence; nothing was stored. Ask Kafka whether the partition is still ours.
    Fenced,
    /// The server refused a value; find the row with [`Batch::halves`].
    Rejected {
        /// ClickHouse's exception code.
        code: u32,
        /// ClickHouse's words.
        message: String,
    },
    /// It may be stored or not: take the fence, kill predecessors, read back, store what is missing.
    Ambiguous(String),
    /// Nothing was stored, for certain; the text says what to do. The same batch may be sent again.
    Unavailable(String),
}

/// Codes of values that a type cannot hold: the server reads the whole body before it stores any of it, so nothing was stored.
/// CANNOT_PARSE_*, INCORRECT_DATA, TOO_LARGE_*, ARGUMENT_OUT_OF_BOUND, TYPE_MISMATCH, CANNOT_CONVERT_TYPE, UNKNOWN_ELEMENT_OF_ENUM,
/// CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, DECIMAL_OVERFLOW and the like, from ClickHouse's `ErrorCodes.cpp`.
const VALUE_REFUSED: &[u32] =
    &[6, 25, 26, 27, 38, 41, 53, 69, 70, 72, 117, 128, 130, 131, 190, 321, 349, 376, 407, 467, 469, 675, 676, 691];

/// Codes raised before a statement starts: no such table or column, wrong password, not granted, unknown setting, not ready.
const REFUSED_BEFORE_START: &[u32] = &[16, 46, 47, 60, 62, 81, 115, 164, 192, 193, 194, 202, 497, 516];

/// FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: the fence's condition.
const FENCED: u32 = 395;

/// What each INSERT says about itself. Asynchronous inserts answer before they store, and 26.x turns them on; one thread and
/// large blocks make one part; deduplication by token loses data on a single node (reliability.md, section 0). Merging the
/// rows of a batch before they are stored costs twice as much as storing them, and FINAL hides what repeats all the same.
const SETTINGS: &[(&str, &str)] = &[
    ("async_insert", "0"),
    ("insert_deduplicate", "0"),
    ("optimize_on_insert", "0"),
    ("max_insert_threads", "1"),
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "1073741824"),
    ("max_execution_time", "20"),
];

impl Warehouse {
    /// Stores a batch whole or not at all, provided the fence still holds.
    pub async fn insert(&self, batch: &Batch, fence: &Fence) -> InsertResult {
        let (Some(first), Some(last)) = (batch.first_offset(), batch.last_offset()) else {
            return InsertResult::Stored;
        };
        let sql = statement(batch.table(), fence);
        let prefix = self.query_id_prefix(batch.topic(), batch.partition());
        let query_id = format!("{prefix}{first}-{last}/{}", Uuid::new_v4());
        let request = self.insert_request(&sql, batch.block());
        let request = Request { settings: SETTINGS, query_id: Some(&query_id), ..request };
        outcome(self.send_named(request).await, batch.len())
    }

    /// Stores a batch under a deduplication token, without a fence: a negative control of the fault harness, which must see
    /// it lose rows. The server remembers a token before the rows are durable, and answers 200 to the repetition.
    #[cfg(feature = "controls")]
    pub async fn insert_by_token(&self, batch: &Batch, token: &str) -> InsertResult {
        let names: Vec<&str> = batch.table().columns().iter().map(|(name, _)| *name).collect();
        let sql = format!("INSERT INTO {} ({}) FORMAT Native", batch.table().name(), names.join(", "));
        let mut settings: Vec<_> = SETTINGS.iter().copied().filter(|(name, _)| *name != "insert_deduplicate").collect();
        settings.extend([("insert_deduplicate", "1"), ("insert_deduplication_token", token)]);
        let request = Request { settings: &settings, ..self.insert_request(&sql, batch.block()) };
        match self.send(request).await {
            // A block that was dropped as known counts as stored: that is what such a client believes.
            Ok(answer) if answer.is_clean() => InsertResult::Stored,
            other => outcome(other, batch.len()),
        }
    }

    /// Stores the customers that a batch shows. Repeating it, in any order, changes nothing, so it needs no fence: send it
    /// beside [`Warehouse::insert`], and commit when both are stored.
    pub async fn insert_customers(&self, batch: &Batch) -> InsertResult {
        let (body, rows) = batch.customers();
        if rows == 0 {
            return InsertResult::Stored;
        }
        let sql = "INSERT INTO stored_customers (brand, customer_id, channel, address, name, first_seen_at, last_seen_at) \
                   FORMAT RowBinary";
        let request = Request { settings: SETTINGS, ..self.insert_request(sql, body) };
        outcome(self.send_named(request).await, rows)
    }
}

fn statement(table: StoredTable, fence: &Fence) -> String {
    let mut names = String::new();
    let mut structure = String::new();
    for (name, kind) in table.columns() {
        if !names.is_empty() {
            names.push_str(", ");
            structure.push_str(", ");
        }
        names.push_str(name);
        structure.push_str(name);
        structure.push(' ');
        structure.push_str(kind);
    }
    format!(
        "INSERT INTO {} ({names}) SELECT * FROM input({}) WHERE {} FORMAT Native",
        table.name(),
        literal(&structure),
        fence.condition()
    )
}

fn outcome(answer: Result<Answer, NoAnswer>, rows: usize) -> InsertResult {
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::NotSent(reason)) => return InsertResult::Unavailable(reason),
        Err(lost @ (NoAnswer::Lost(_) | NoAnswer::TooLarge)) => return InsertResult::Ambiguous(lost.reason()),
    };
    let message = answer.message();
    match answer.exception {
        None if answer.status == 200 => match answer.written_rows {
            // More than was sent: views that an operator put on the table wrote too, and are counted. A batch is one block,
            // which is stored whole or not at all, so what they add cannot stand for rows that are missing.
            Some(written) if written >= rows as u64 => InsertResult::Stored,
            written => {
                InsertResult::Ambiguous(format!("{rows} rows were sent, and the server says it wrote {written:?}"))
            }
        },
        Some(FENCED) if message.contains("fenced") => InsertResult::Fenced,
        Some(code) if VALUE_REFUSED.contains(&code) => InsertResult::Rejected { code, message },
        Some(code) if REFUSED_BEFORE_START.contains(&code) => {
            InsertResult::Unavailable(format!("ClickHouse refused (code {code}): {message}{}", advice(code)))
        }
        Some(code) => InsertResult::Ambiguous(format!("code {code}: {message}{}", advice(code))),
        None => InsertResult::Ambiguous(format!("HTTP status {}: {message}", answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn answered(status: u16, exception: Option<u32>, written_rows: Option<u64>, text: &'static str) -> InsertResult {
        outcome(Ok(Answer { status, exception, written_rows, body: Bytes::from_static(text.as_bytes()) }), 10)
    }

    #[test]
    fn only_a_clean_answer_with_every_row_is_stored() {
        assert_eq!(answered(200, None, Some(10), ""), InsertResult::Stored);
        assert_eq!(answered(200, None, Some(13), ""), InsertResult::Stored, "a materialized view wrote three more");
        assert!(matches!(answered(200, None, Some(9), ""), InsertResult::Ambiguous(_)));
        assert!(matches!(answered(200, None, None, ""), InsertResult::Ambiguous(_)));
        assert!(matches!(answered(200, Some(241), Some(10), ""), InsertResult::Ambiguous(_)));
        assert!(matches!(answered(502, None, Some(10), "Bad gateway"), InsertResult::Ambiguous(_)));
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(answered(500, Some(395), Some(0), "Code: 395. DB::Exception: fenced: while"), InsertResult::Fenced);
        assert!(matches!(answered(500, Some(691), None, "enum"), InsertResult::Rejected { code: 691, .. }));
        assert!(
            matches!(answered(404, Some(60), None, "no table"), InsertResult::Unavailable(text) if text.contains("outcry migrate"))
        );
        assert!(
            matches!(answered(403, Some(516), None, "password"), InsertResult::Unavailable(text) if text.contains("username"))
        );
        assert!(matches!(answered(500, Some(394), None, "Query was cancelled"), InsertResult::Ambiguous(_)));
        // A body cut short reads as CANNOT_READ_ALL_DATA: the fault is the connection's, not a row's.
        assert!(matches!(answered(500, Some(33), None, "cut"), InsertResult::Ambiguous(_)));
    }

    #[test]
    fn a_request_that_was_never_sent_is_certain_and_a_lost_answer_is_not() {
        assert!(matches!(outcome(Err(NoAnswer::NotSent("refused".into())), 1), InsertResult::Unavailable(_)));
        assert!(matches!(outcome(Err(NoAnswer::Lost("reset".into())), 1), InsertResult::Ambiguous(_)));
    }
}

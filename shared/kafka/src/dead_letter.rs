//! Dead letters: the original bytes as value, everything else in headers.

use crate::Record;
use outcry_domain::{DeadLetter, Timestamp};

/// The letter for a record that was read and cannot be used.
pub fn letter_from_record(record: &Record, service: &str, reason: &str, detail: &str, now: Timestamp) -> DeadLetter {
    DeadLetter {
        service: service.to_owned(),
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        origin: record.topic.to_string(),
        partition: record.partition,
        offset: record.offset,
        received_at: Timestamp::from_millis(record.timestamp_ms),
        refused_at: now,
    }
}

/// The letter as headers of the record that carries the bytes.
pub fn letter_headers(letter: &DeadLetter) -> Vec<(&'static str, String)> {
    vec![
        ("outcry.service", letter.service.clone()),
        ("outcry.reason", letter.reason.clone()),
        ("outcry.detail", letter.detail.chars().take(2000).collect()),
        ("outcry.origin", letter.origin.clone()),
        ("outcry.partition", letter.partition.to_string()),
        ("outcry.offset", letter.offset.to_string()),
        ("outcry.received_at", letter.received_at.to_string()),
        ("outcry.refused_at", letter.refused_at.to_string()),
    ]
}

/// Original headers travel under this prefix.
pub(crate) const ORIGINAL_HEADER: &str = "original.";

impl Record {
    /// The headers that a dead letter had before it was refused.
    pub fn original_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix(ORIGINAL_HEADER)?, value.as_slice())))
    }

    /// This record read as a dead letter; `None` when it is not one.
    pub fn dead_letter(&self) -> Option<DeadLetter> {
        let text = |name: &str| self.header(name).map(str::to_owned);
        let time = |name: &str| self.header(name).and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNKNOWN);
        Some(DeadLetter {
            service: text("outcry.service")?,
            reason: text("outcry.reason")?,
            detail: text("outcry.detail").unwrap_or_default(),
            origin: text("outcry.origin").unwrap_or_default(),
            partition: self.header("outcry.partition").and_then(|text| text.parse().ok()).unwrap_or(-1),
            offset: self.header("outcry.offset").and_then(|text| text.parse().ok()).unwrap_or(-1),
            received_at: time("outcry.received_at"),
            refused_at: time("outcry.refused_at"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_reads_back_from_its_headers() {
        let record = Record {
            topic: "outcry.items.raw".into(),
            partition: 2,
            offset: 41,
            timestamp_ms: 1000,
            key: None,
            payload: b"\xff".to_vec(),
            headers: Vec::new(),
        };
        let letter = letter_from_record(&record, "classifier", "undecodable", "not UTF-8", Timestamp::from_seconds(9));
        let headers = letter_headers(&letter).into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let stored = Record { headers: headers.collect(), ..record.clone() };
        assert_eq!(stored.dead_letter(), Some(letter));
        assert_eq!(record.dead_letter(), None);
        let own = (format!("{ORIGINAL_HEADER}outcry.reclassified"), b"2".to_vec());
        let with_own = Record { headers: [stored.headers, vec![own]].concat(), ..record };
        assert_eq!(with_own.original_headers().collect::<Vec<_>>(), [("outcry.reclassified", &b"2"[..])]);
    }
}

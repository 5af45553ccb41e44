//! The stored tables and how each fact becomes a row of one.

mod events;
mod item;
pub(crate) mod read;

use crate::RowBuffer;
use outcry_domain::{Customer, DeadLetter, Timestamp};

/// A table that the sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoredTable {
    /// `items.classified`.
    Items,
    /// `case.events`.
    CaseEvents,
    /// `source.coverage`.
    Coverage,
    /// `dead.letters`.
    DeadLetters,
}

impl StoredTable {
    /// Every table.
    pub const ALL: &'static [Self] = &[Self::Items, Self::CaseEvents, Self::Coverage, Self::DeadLetters];

    /// The table's name in ClickHouse.
    pub fn name(self) -> &'static str {
        match self {
            Self::Items => "stored_items",
            Self::CaseEvents => "stored_case_events",
            Self::Coverage => "stored_coverage",
            Self::DeadLetters => "stored_dead_letters",
        }
    }

    /// The columns that a row fills, in order.
    pub fn column_names(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|(name, _)| *name)
    }

    /// Names and types of the columns, in the order in which [`Row::encode`] writes them.
    pub(crate) fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Items => item::COLUMNS,
            Self::CaseEvents => events::CASE_EVENT_COLUMNS,
            Self::Coverage => events::COVERAGE_COLUMNS,
            Self::DeadLetters => events::DEAD_LETTER_COLUMNS,
        }
    }
}

/// Where in Kafka a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaPosition {
    /// Which incarnation of the topic, as [`crate::Warehouse::assign_epoch`] numbers it.
    pub epoch: u16,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

impl KafkaPosition {
    fn encode(self, row: &mut RowBuffer) {
        row.u16(self.epoch);
        row.u32(self.partition);
        row.u64(self.offset);
    }
}

/// A fact that can be stored.
pub trait Row {
    /// Where it is stored.
    const TABLE: StoredTable;

    /// Writes the row, every column of the table in its order. It cannot fail: whatever the fact holds has a place.
    fn encode(&self, position: KafkaPosition, row: &mut RowBuffer);

    /// The customer it shows, for the table of personal details.
    fn customer(&self) -> Option<CustomerSighting<'_>> {
        None
    }
}

/// A customer, as one item shows them.
#[derive(Clone, Copy, Debug)]
pub struct CustomerSighting<'a> {
    /// The brand's id.
    pub brand: &'a str,
    /// The channel's name.
    pub channel: &'static str,
    /// The customer; one without an address is not kept.
    pub customer: &'a Customer,
    /// When.
    pub at: Timestamp,
}

/// A dead letter with the bytes it is about.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetterRow<'a> {
    /// What was refused and why.
    pub letter: &'a DeadLetter,
    /// The refused record's key.
    pub key: Option<&'a [u8]>,
    /// The refused bytes.
    pub payload: &'a [u8],
}

const TEXT: &str = "String";
const WORD: &str = "LowCardinality(String)";
const TIME: &str = "DateTime64(3, 'UTC')";
const OPTIONAL_TIME: &str = "Nullable(DateTime64(3, 'UTC'))";
const ID: &str = "UUID";
const FLAG: &str = "Bool";
const TEXTS: &str = "Array(String)";

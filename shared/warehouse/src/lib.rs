//! ClickHouse: numbered migrations, the views that analysts read, reports as named queries, and what the sink needs to
//! store each item once. The only crate with SQL.
//!
//! - [`Warehouse`] is one connection pool over ClickHouse's HTTP interface; it talks through `reqwest` alone, because the
//!   sink must see every header of an answer (`X-ClickHouse-Summary`, `X-ClickHouse-Exception-Code`) and send one body of
//!   known length.
//! - [`ANALYST_VIEWS`] is what an analyst is granted; the tables behind are named `stored_…`, and `customers` (personal
//!   details) is granted apart.
//! - The sink encodes rows as they come into a [`Batch`], and stores it with [`Warehouse::insert`].
//!
//! Why inserts are fenced and read back rather than deduplicated by token: the design's section 4.

mod batch;
mod client;
mod config;
mod error;
mod fence;
mod history;
mod insert;
mod migrations;
mod native;
mod readback;
pub mod reports;
mod rowbinary;
mod rows;
mod statements;
mod summary;
mod table;

pub use batch::Batch;
pub use client::Warehouse;
pub use config::ClickHouseConfig;
pub use error::WarehouseError;
pub use fence::Fence;
pub use history::{ItemPlace, StoredItem, StoredLabels, Stretch, labels_by_axis};
pub use insert::InsertResult;
pub use migrations::{Migrated, migrate};
pub use reports::{Report, ReportColumn, ReportParams};
pub use rowbinary::RowBuffer;
pub use rows::{CustomerSighting, DeadLetterRow, KafkaPosition, Row, StoredTable};
pub use summary::{Count, Repeat, Summary};
pub use table::{Column, Table};

/// The views an analyst may read; nothing else is granted to one.
pub const ANALYST_VIEWS: &[&str] = &["items", "contacts", "calls", "cases", "case_events", "coverage", "dead_letters"];

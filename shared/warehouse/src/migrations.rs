//! Numbered migrations: applied once, in order, never changed after release.
//!
//! Every statement of a migration can be repeated (`IF NOT EXISTS`, `CREATE OR REPLACE`): ClickHouse has no transactions over
//! DDL, so a migration that was cut off is run again from its start, and two that run at once do no harm.

use crate::{ClickHouseConfig, Warehouse, WarehouseError, client::Request, fence::literal, statements::statements};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Name and text, in order.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_items", include_str!("../migrations/0001_items.sql")),
    ("0002_events", include_str!("../migrations/0002_events.sql")),
    ("0003_views", include_str!("../migrations/0003_views.sql")),
    ("0004_contacts", include_str!("../migrations/0004_contacts.sql")),
    ("0005_answers", include_str!("../migrations/0005_answers.sql")),
    ("0006_coverage", include_str!("../migrations/0006_coverage.sql")),
    ("0007_merges", include_str!("../migrations/0007_merges.sql")),
];

/// Where a view's column that has no comment of its own takes it from, in this order.
const COMMENTS: &[(&str, &str)] = &[
    ("items", "stored_items"),
    ("case_events", "stored_case_events"),
    ("coverage", "stored_coverage"),
    ("dead_letters", "stored_dead_letters"),
    ("customers", "stored_customers"),
    ("contacts", "stored_items"),
    ("calls", "stored_items"),
    ("cases", "stored_items"),
    ("contact_folds", "contacts"),
    ("contact_folds", "calls"),
    ("contact_folds", "cases"),
];

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String COMMENT 'The migration',
    checksum String COMMENT 'SHA-256 of its text, hexadecimal',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied, UTC'
)
ENGINE = MergeTree ORDER BY name SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Migrations that were applied to this database.'";

/// What a run of the migrations did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Applied just now, in order.
    pub applied: Vec<String>,
    /// Applied before.
    pub already: usize,
}

/// Creates the database if it is absent and brings it up to date.
pub async fn migrate(config: &ClickHouseConfig) -> Result<Migrated, WarehouseError> {
    Warehouse::connect(config)?.migrate().await
}

fn checksum(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Warehouse {
    /// Creates the database if it is absent and brings it up to date. May be repeated, also by two processes at once.
    pub async fn migrate(&self) -> Result<Migrated, WarehouseError> {
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS {} COMMENT 'Outcry: every complaint, classified. Read the views.'",
            self.database()
        );
        self.execute(Request { in_database: false, ..Request::new("creating the database", &sql) }).await?;
        self.execute(Request::new("creating the list of migrations", LEDGER)).await?;
        let known = self.applied_migrations().await?;
        let mut migrated = Migrated::default();
        for (name, text) in MIGRATIONS {
            let checksum = checksum(text);
            match known.get(*name) {
                Some(applied) if *applied == checksum => migrated.already += 1,
                Some(_) => {
                    let database = self.database().into();
                    return Err(WarehouseError::ChangedMigration { name: (*name).into(), database });
                }
                None => {
                    self.apply(name, text, &checksum).await?;
                    migrated.applied.push((*name).to_owned());
                }
            }
        }
        if !migrated.applied.is_empty() {
            self.copy_comments().await?;
        }
        Ok(migrated)
    }

    /// An error that says `outcry migrate` when the database lacks something that this release needs.
    pub async fn check_schema(&self) -> Result<(), WarehouseError> {
        let known = self.applied_migrations().await?;
        let missing: Vec<&str> =
            MIGRATIONS.iter().map(|(name, _)| *name).filter(|name| !known.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(WarehouseError::NotMigrated { database: self.database().into(), missing: missing.join(", ") })
    }

    async fn applied_migrations(&self) -> Result<BTreeMap<String, String>, WarehouseError> {
        let sql = "SELECT DISTINCT name, checksum FROM schema_migrations ORDER BY name, checksum";
        let table = self.select("reading the list of migrations", sql, &[]).await?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(table.rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect())
    }

    async fn apply(&self, name: &str, text: &str, checksum: &str) -> Result<(), WarehouseError> {
        tracing::info!(warehouse.migration = name, warehouse.database = self.database(), "applying a migration");
        for statement in statements(text) {
            self.execute(Request::new("applying a migration", &statement)).await?;
        }
        let sql =
            format!("INSERT INTO schema_migrations (name, checksum) SELECT {}, {}", literal(name), literal(checksum));
        let settings = &[("async_insert", "0")];
        self.execute(Request { settings, ..Request::new("noting a migration", &sql) }).await.map(drop)
    }

    /// A view's columns carry no comments but those they are given; most are columns of a table that has them.
    async fn copy_comments(&self) -> Result<(), WarehouseError> {
        let doing = "copying comments to views";
        let sql = "SELECT own.name AS name, source.comment AS comment FROM system.columns AS own \
             INNER JOIN system.columns AS source ON source.database = own.database AND source.name = own.name \
             WHERE own.database = currentDatabase() AND own.table = {view:String} AND own.comment = '' \
             AND source.table = {source:String} AND source.comment != '' ORDER BY name";
        for (view, source) in COMMENTS {
            let parameters = [("view", (*view).to_owned()), ("source", (*source).to_owned())];
            let table = self.select(doing, sql, &parameters).await?;
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let comments: Vec<String> = table
                .rows
                .iter()
                .map(|row| format!("COMMENT COLUMN {} {}", text(&row[0]), literal(&text(&row[1]))))
                .collect();
            if !comments.is_empty() {
                let sql = format!("ALTER TABLE {view} {}", comments.join(", "));
                self.execute(Request::new(doing, &sql)).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps_and_split_into_statements() {
        for (position, (name, text)) in MIGRATIONS.iter().enumerate() {
            assert!(name.starts_with(&format!("{:04}_", position + 1)), "{name}");
            for statement in statements(text) {
                let repeatable = ["CREATE TABLE IF NOT EXISTS ", "CREATE OR REPLACE VIEW ", "ALTER TABLE "]
                    .iter()
                    .any(|start| statement.starts_with(start));
                assert!(repeatable, "{name}: this statement cannot be repeated: {statement:.60}");
            }
        }
    }
}

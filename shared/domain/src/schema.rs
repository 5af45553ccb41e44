//! JSON Schemas of what travels on each topic. They are checked in under `shared/domain/schemas`; a test fails when they
//! are stale.

use crate::{CaseEvent, ClassifiedItem, Coverage, DeadLetter, Item};
use schemars::{Schema, schema_for};

/// Every topic's schema, by the topic's name without prefix.
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("items.raw", schema_for!(Item)),
        ("items.classified", schema_for!(ClassifiedItem)),
        ("case.events", schema_for!(CaseEvent)),
        ("source.coverage", schema_for!(Coverage)),
        ("dead.letters", schema_for!(DeadLetter)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Run with `OUTCRY_UPDATE_SCHEMAS=1` to write them anew.
    #[test]
    fn checked_in_schemas_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let update = std::env::var_os("OUTCRY_UPDATE_SCHEMAS").is_some();
        for (topic, schema) in schemas() {
            let path = folder.join(format!("{topic}.json"));
            let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if update {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, current).unwrap();
                continue;
            }
            let stored = fs::read_to_string(&path).unwrap_or_default();
            assert!(stored == current, "{} is stale: run the tests once with OUTCRY_UPDATE_SCHEMAS=1", path.display());
        }
    }
}

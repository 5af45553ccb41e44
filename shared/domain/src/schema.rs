//! JSON Schemas of what travels on each topic. They are checked in under `shared/domain/schemas`; a test fails when they
//! are stale.

use crate::{CaseEvent, ClassifiedItem, Coverage, DeadLetter, Item};
use schemars::{Schema, schema_for};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use std::fmt;

/// The version that a record states, for one that the current form does not fit: its own `schema_version`, or that of the
/// object in its `item`. Anything but an object states none: `[6]` is rubbish and not the sixth version.
pub fn stated_version(payload: &[u8]) -> Option<u16> {
    serde_json::from_slice::<Stated>(payload).ok()?.0
}

/// What is wrong with a record's JSON, for a log or a dead letter. Serde quotes what it found, which may be a customer's
/// words: only the kind of error and its place are kept.
pub fn describe_json_error(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Syntax => "not JSON",
        Category::Eof => "cut short",
        Category::Io => "unreadable",
        Category::Data => "a value of the wrong type, or a field is missing",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

struct Stated(Option<u16>);

impl<'de> Deserialize<'de> for Stated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A derived struct would be read from a sequence too.
        deserializer.deserialize_map(StatedVisitor)
    }
}

struct StatedVisitor;

impl<'de> Visitor<'de> for StatedVisitor {
    type Value = Stated;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stated, A::Error> {
        let mut stated = None;
        while let Some(key) = map.next_key::<String>()? {
            let found = match key.as_str() {
                "schema_version" => Some(map.next_value()?),
                "item" => map.next_value::<Stated>()?.0,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if found.is_some() && stated.is_some() {
                return Err(A::Error::custom("two versions"));
            }
            stated = stated.or(found);
        }
        Ok(Stated(stated))
    }
}

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

    #[test]
    fn only_an_object_states_a_version() {
        assert_eq!(stated_version(br#"{"a":["\ud800"],"schema_version":3,"z":{}}"#), Some(3));
        assert_eq!(stated_version(br#"{"item":{"schema_version":7},"classification":null}"#), Some(7));
        for rubbish in [&b"[6]"[..], b"6", br#"{"item":[6]}"#, br#"{"schema_version":"2"}"#, b"{}", b"", b"\xff"] {
            assert_eq!(stated_version(rubbish), None, "{}", String::from_utf8_lossy(rubbish));
        }
    }

    #[test]
    fn what_is_said_of_bad_json_quotes_none_of_it() {
        let described = |text: &str| describe_json_error(&serde_json::from_str::<Item>(text).unwrap_err());
        let wrong_type = described(r#"{"schema_version":1,"brand":["ana@example.org"]}"#);
        assert_eq!(wrong_type, "a value of the wrong type, or a field is missing at line 1 column 28");
        assert_eq!(described("ana@example.org"), "not JSON at line 1 column 1");
        assert_eq!(described("{\n\"text\": \"ana"), "cut short at line 2 column 12");
    }

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

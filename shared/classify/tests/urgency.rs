//! The stated rules of urgency, one table of short texts per language: `tests/urgency/*.toml`.

#![expect(clippy::unwrap_used, reason = "a table that cannot be read fails the test")]

use outcry_classify::{Classifier, Input};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    text: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    text: String,
    level: String,
    because: Option<String>,
    not: Option<String>,
}

fn tables() -> Vec<(String, Table)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/urgency");
    let mut tables: Vec<(String, Table)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let language = path.file_stem().unwrap().to_string_lossy().into_owned();
            let table = toml::from_str(&std::fs::read_to_string(&path).unwrap());
            (language, table.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect();
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    tables
}

#[test]
fn every_text_has_the_urgency_that_the_rules_state() {
    let classifier = Classifier::builtin();
    let mut wrong = Vec::new();
    for (language, table) in tables() {
        for row in table.text {
            let answer = classifier.classify(&Input::new(&row.text));
            let signals: Vec<&str> = answer
                .evidence
                .iter()
                .filter(|evidence| evidence.axis == "urgency")
                .map(|evidence| evidence.label.as_str())
                .collect();
            let level_is_right = answer.urgency.label.as_str() == row.level;
            let cause_is_right = row.because.as_deref().is_none_or(|because| signals.contains(&because));
            let nothing_else = row.not.as_deref().is_none_or(|not| !signals.contains(&not));
            if !(level_is_right && cause_is_right && nothing_else) {
                wrong.push(format!(
                    "{language} (found {}): {:?}: expected {} {:?}, got {} ({}) as {} from {signals:?}",
                    answer.language.label,
                    row.text,
                    row.level,
                    row.because,
                    answer.urgency.label.as_str(),
                    answer.urgency_score,
                    answer.kind.label.as_str(),
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn english_has_at_least_forty_texts_of_all_levels() {
    let tables = tables();
    let (_, english) = tables.iter().find(|(language, _)| language == "en").unwrap();
    assert!(english.text.len() >= 40);
    for level in ["critical", "high", "normal", "low"] {
        assert!(english.text.iter().any(|row| row.level == level), "{level}");
    }
}

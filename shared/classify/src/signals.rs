//! The urgency signals: what each says and how much it weighs.

use crate::lexicon::LexiconError;
use outcry_domain::classification::Urgency;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Lowest score of each band: `critical` from 80, `high` from 50, `normal` from 25.
pub(crate) const CRITICAL: i32 = 80;
pub(crate) const HIGH: i32 = 50;
pub(crate) const NORMAL: i32 = 25;

/// Where a score lies.
pub(crate) fn band(score: i32) -> Urgency {
    match score {
        CRITICAL.. => Urgency::Critical,
        HIGH.. => Urgency::High,
        NORMAL.. => Urgency::Normal,
        _ => Urgency::Low,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    signal: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// For people who read evidence.
    #[expect(dead_code, reason = "read by people, and by the explain command of a later issue")]
    says: String,
    /// `critical` or `high`: alone enough for that level, whatever else is said.
    #[serde(default)]
    level: Option<Level>,
    /// Added to the sum; may be negative.
    #[serde(default)]
    points: i32,
    /// A denied word says the same: "no insulin left" is no better than "insulin".
    #[serde(default)]
    even_if_denied: bool,
    /// An event: what is only supposed ("what happens if my card is stolen?") is none.
    #[serde(default)]
    event: bool,
    /// Who writes of it complains, whatever the words.
    #[serde(default)]
    complaint: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Critical,
    High,
}

/// One signal.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    /// `urgency.` and its name, as it stands in evidence.
    pub name: String,
    /// The score that this signal alone enforces.
    pub at_least: i32,
    /// What it adds to the sum.
    pub points: i32,
    /// A denial before or after its words changes nothing.
    pub even_if_denied: bool,
    /// Does not count where it is only supposed.
    pub event: bool,
    /// Speaks for a complaint as well.
    pub complaint: bool,
}

/// All signals, in the order of their names.
#[derive(Debug)]
pub(crate) struct Signals(Vec<Signal>);

impl Signals {
    pub fn parse(source: &str) -> Result<Self, LexiconError> {
        let table: Table = toml::from_str(source)
            .map_err(|source| LexiconError::Malformed { name: "urgency".to_owned(), source: Box::new(source) })?;
        Ok(Self(
            table
                .signal
                .into_iter()
                .map(|(name, entry)| Signal {
                    name,
                    at_least: match entry.level {
                        Some(Level::Critical) => CRITICAL + 10,
                        Some(Level::High) => HIGH + 10,
                        None => 0,
                    },
                    points: entry.points,
                    even_if_denied: entry.even_if_denied,
                    event: entry.event,
                    complaint: entry.complaint,
                })
                .collect(),
        ))
    }

    pub fn index(&self, name: &str) -> Option<u16> {
        let at = self.0.binary_search_by(|signal| signal.name.as_str().cmp(name)).ok()?;
        u16::try_from(at).ok()
    }

    pub fn get(&self, index: u16) -> Option<&Signal> {
        self.0.get(usize::from(index))
    }

    pub fn names(&self) -> String {
        self.0.iter().map(|signal| signal.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

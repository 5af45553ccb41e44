//! A lexicon: the words of one language and what they speak for, as a person wrote them down.
//!
//! The files stand in `lexicons/`; its README explains them to those who know customers rather than code.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Why a lexicon could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    /// Not the form that the README of the lexicons describes.
    #[error("reading the lexicon `{name}`: {source}")]
    Malformed {
        /// The file's name.
        name: String,
        /// What the TOML reader says, with line and column.
        source: Box<toml::de::Error>,
    },
    /// A section speaks for something that does not exist.
    #[error("lexicon `{name}`: `{label}` is no {axis}; known are: {known}")]
    UnknownLabel {
        /// The file's name.
        name: String,
        /// What was written.
        label: String,
        /// What kind of label was expected.
        axis: &'static str,
        /// What could have been written.
        known: String,
    },
    /// An entry of which nothing is left once it is folded.
    #[error("lexicon `{name}`: the entry `{entry}` has no letter to look for")]
    EmptyEntry {
        /// The file's name.
        name: String,
        /// What was written.
        entry: String,
    },
    /// The patterns could not be made into one automaton.
    #[error("compiling the lexicon `{name}`: {detail}")]
    Automaton {
        /// The language.
        name: String,
        /// What the automaton builder says.
        detail: String,
    },
}

/// One language's words.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lexicon {
    /// BCP 47 tag; `*` for signs that mean the same in all languages.
    pub language: String,
    #[serde(default)]
    pub negation: Negation,
    #[serde(default)]
    pub ignore: Ignore,
    #[serde(default)]
    pub kind: BTreeMap<String, Words>,
    #[serde(default)]
    pub category: BTreeMap<String, Words>,
    #[serde(default)]
    pub sentiment: BTreeMap<String, Words>,
    #[serde(default)]
    pub urgency: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub together: Vec<Together>,
}

/// Words that turn others round.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Negation {
    /// Those that stand before what they deny.
    #[serde(default)]
    pub before: Vec<String>,
    /// Those that stand after it.
    #[serde(default)]
    pub after: Vec<String>,
    /// How far they reach, in characters.
    #[serde(default = "default_reach")]
    pub reach: u32,
    /// Words that end a clause, such as "but": nothing is denied across them.
    #[serde(default)]
    pub breaks: Vec<String>,
    /// Words after which an event is only supposed, such as "what happens if", to the end of the clause.
    #[serde(default)]
    pub supposing: Vec<String>,
}

fn default_reach() -> u32 {
    18
}

/// Phrases inside which the words of an axis mean nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ignore {
    #[serde(default)]
    pub urgency: Vec<String>,
    #[serde(default)]
    pub category: Vec<String>,
    #[serde(default)]
    pub kind: Vec<String>,
    #[serde(default)]
    pub sentiment: Vec<String>,
}

/// Words by how much they say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    /// Names a thing gone wrong: as good as `strong`, and counts as a complaint too.
    #[serde(default)]
    pub problem: Vec<String>,
    /// Says it nearly alone.
    #[serde(default)]
    pub strong: Vec<String>,
    /// Says it as a rule.
    #[serde(default)]
    pub usual: Vec<String>,
    /// A hint, no more.
    #[serde(default)]
    pub weak: Vec<String>,
}

/// Words that mean something only near each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Together {
    /// `category.delivery`, `urgency.injury`, `kind.complaint`, ….
    pub speaks_for: String,
    /// How much it says.
    #[serde(default)]
    pub strength: Strength,
    /// One word of each list must be found in one sentence.
    pub parts: Vec<Vec<String>>,
    /// How far apart the first and the last may be, in characters.
    #[serde(default = "default_within")]
    pub within: u32,
}

fn default_within() -> u32 {
    45
}

/// How much an entry says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strength {
    Problem,
    #[default]
    Strong,
    Usual,
    Weak,
}

impl Strength {
    pub fn weight(self) -> f32 {
        match self {
            Self::Problem | Self::Strong => 3.0,
            Self::Usual => 2.0,
            Self::Weak => 1.0,
        }
    }
}

impl Words {
    pub fn by_strength(&self) -> [(Strength, &[String]); 4] {
        [
            (Strength::Problem, &self.problem),
            (Strength::Strong, &self.strong),
            (Strength::Usual, &self.usual),
            (Strength::Weak, &self.weak),
        ]
    }
}

impl Lexicon {
    pub fn parse(name: &str, source: &str) -> Result<Self, LexiconError> {
        toml::from_str(source)
            .map_err(|source| LexiconError::Malformed { name: name.to_owned(), source: Box::new(source) })
    }

    /// Bytes that a character of this language takes when folded: distances are written in characters, kept in bytes.
    pub fn bytes_per_character(&self) -> u32 {
        match self.language.as_str() {
            "ja" | "zh" | "hi" => 3,
            "ar" | "ru" => 2,
            _ => 1,
        }
    }
}

/// The lexicons in the binary: name, contents.
pub(crate) const BUILTIN: &[(&str, &str)] = &[
    ("common", include_str!("../lexicons/common.toml")),
    ("en", include_str!("../lexicons/en.toml")),
    ("it", include_str!("../lexicons/it.toml")),
    ("pt", include_str!("../lexicons/pt.toml")),
    ("es", include_str!("../lexicons/es.toml")),
    ("fr", include_str!("../lexicons/fr.toml")),
    ("de", include_str!("../lexicons/de.toml")),
    ("ja", include_str!("../lexicons/ja.toml")),
    ("zh", include_str!("../lexicons/zh.toml")),
    ("nl", include_str!("../lexicons/nl.toml")),
    ("pl", include_str!("../lexicons/pl.toml")),
    ("tr", include_str!("../lexicons/tr.toml")),
    ("ru", include_str!("../lexicons/ru.toml")),
    ("ar", include_str!("../lexicons/ar.toml")),
    ("hi", include_str!("../lexicons/hi.toml")),
];

/// What each urgency signal does.
pub(crate) const SIGNALS: &str = include_str!("../lexicons/urgency.toml");

/// Words by which languages are told apart.
pub(crate) const LANGUAGE_WORDS: &str = include_str!("../lexicons/languages.toml");

//! From the lexicons of a language to one automaton.

use crate::fold::Folded;
use crate::lexicon::{Lexicon, LexiconError, Strength};
use crate::signals::Signals;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use outcry_domain::classification::{Category, Kind, Sentiment};
use std::collections::BTreeMap;

/// The four axes that lexicons speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Kind,
    Category,
    Urgency,
    Sentiment,
}

impl Axis {
    pub const COUNT: usize = 4;

    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Category => "category",
            Self::Urgency => "urgency",
            Self::Sentiment => "sentiment",
        }
    }
}

/// What beside a word makes it say nothing, or the contrary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UndoneBy {
    pub denial: bool,
    pub supposition: bool,
}

/// What a matched pattern does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// Speaks for the label with that index in its axis.
    Speak {
        axis: Axis,
        label: u16,
        weight: f32,
        /// A word of the matter that names no problem, such as "payment".
        topic: bool,
        undone_by: UndoneBy,
    },
    /// Silences what it covers.
    Ignore(Axis),
    DenyNext,
    DenyPrevious,
    /// What follows in the clause has not happened.
    Suppose,
    /// Ends a clause; `sentence` if it ends a sentence.
    Break {
        sentence: bool,
    },
    /// Is one part of a rule.
    Part {
        rule: u16,
        part: u8,
    },
}

#[derive(Debug)]
pub(crate) struct Pattern {
    /// Spaces before and after that belong to the pattern and not to the words.
    pub lead: u8,
    pub trail: u8,
    /// Holds a denying word itself, as "does not work" does: another one before it changes nothing.
    pub denies_itself: bool,
    pub actions: std::ops::Range<u32>,
    /// The entry as written, with its language: `it:consegn*`.
    pub entry: Box<str>,
}

/// Words that mean something only together.
#[derive(Debug)]
pub(crate) struct Rule {
    pub parts: u8,
    pub within: u32,
    pub effects: Vec<Action>,
    pub entry: Box<str>,
}

/// At most that many lists in one rule.
pub(crate) const MAX_PARTS: usize = 4;

/// All patterns of a language, with English and the common signs.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub automaton: AhoCorasick,
    pub patterns: Vec<Pattern>,
    pub actions: Vec<Action>,
    pub rules: Vec<Rule>,
    /// How far a denial reaches, in folded bytes.
    pub reach: u32,
}

#[derive(Default)]
struct Draft {
    lead: u8,
    trail: u8,
    denies_itself: bool,
    actions: Vec<Action>,
    entry: String,
}

impl Draft {
    /// An entry that stands twice for one label speaks once, with the stronger voice.
    fn add(&mut self, action: Action) {
        if let Action::Speak { axis, label, weight, .. } = action {
            for known in &mut self.actions {
                if let Action::Speak { axis: same_axis, label: same_label, weight: old, .. } = known
                    && (*same_axis, *same_label) == (axis, label)
                {
                    if *old < weight {
                        *known = action;
                    }
                    return;
                }
            }
        }
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }
}

/// Collects patterns; the same words in two sections become one pattern with two actions.
pub(crate) struct Compiler<'a> {
    signals: &'a Signals,
    drafts: BTreeMap<String, Draft>,
    rules: Vec<Rule>,
    denials: Vec<String>,
    folded: Folded,
}

/// What belongs to a foreign word: in another language's text a short English word is too often something else
/// ("die", "gift", "note").
const SHORTEST_BORROWED_WORD: usize = 7;

impl<'a> Compiler<'a> {
    pub fn new(signals: &'a Signals) -> Self {
        let mut compiler = Self {
            signals,
            drafts: BTreeMap::new(),
            rules: Vec::new(),
            denials: Vec::new(),
            folded: Folded::default(),
        };
        for (mark, sentence) in [(" . ", true), (" ! ", true), (" ? ", true), (" \n ", true), (" , ", false)] {
            let draft = compiler.drafts.entry(mark.to_owned()).or_default();
            (draft.lead, draft.trail) = (1, 1);
            draft.actions.push(Action::Break { sentence });
        }
        compiler
    }

    /// Adds a language's own lexicon.
    pub fn add(&mut self, lexicon: &Lexicon) -> Result<(), LexiconError> {
        let before = lexicon.negation.before.iter().map(|word| (word, Action::DenyNext));
        let after = lexicon.negation.after.iter().map(|word| (word, Action::DenyPrevious));
        for (word, action) in before.chain(after) {
            let (pattern, ..) = self.pattern_of(lexicon, word)?;
            self.denials.push(pattern);
            self.entry(lexicon, word, action)?;
        }
        for word in &lexicon.negation.supposing {
            self.entry(lexicon, word, Action::Suppose)?;
        }
        for word in &lexicon.negation.breaks {
            self.entry(lexicon, word, Action::Break { sentence: false })?;
        }
        self.labels(lexicon)
    }

    /// Adds another language's words, but only those that cannot be mistaken.
    pub fn borrow(&mut self, lexicon: &Lexicon) -> Result<(), LexiconError> {
        let mut other = Compiler::new(self.signals);
        other.labels(lexicon)?;
        for (pattern, draft) in other.drafts {
            let words = pattern.trim();
            let unmistakable = words.contains(' ') || words.chars().count() >= SHORTEST_BORROWED_WORD;
            let is_mark = draft.actions.iter().any(|action| matches!(action, Action::Break { .. }));
            let actions: Vec<_> =
                draft.actions.iter().filter(|action| !matches!(action, Action::Part { .. })).copied().collect();
            if unmistakable && !is_mark && !actions.is_empty() {
                self.drafts.entry(pattern).or_insert(Draft { actions, ..draft });
            }
        }
        Ok(())
    }

    fn labels(&mut self, lexicon: &Lexicon) -> Result<(), LexiconError> {
        let ignore = &lexicon.ignore;
        for (axis, phrases) in [
            (Axis::Urgency, &ignore.urgency),
            (Axis::Category, &ignore.category),
            (Axis::Kind, &ignore.kind),
            (Axis::Sentiment, &ignore.sentiment),
        ] {
            for phrase in phrases {
                self.entry(lexicon, phrase, Action::Ignore(axis))?;
            }
        }
        for (axis, section) in
            [(Axis::Kind, &lexicon.kind), (Axis::Category, &lexicon.category), (Axis::Sentiment, &lexicon.sentiment)]
        {
            for (label, words) in section {
                let index = self.label(lexicon, axis, label)?;
                for (strength, entries) in words.by_strength() {
                    for entry in entries {
                        for action in self.effects(axis, index, strength) {
                            self.entry(lexicon, entry, action)?;
                        }
                    }
                }
            }
        }
        for (signal, phrases) in &lexicon.urgency {
            let label = self.label(lexicon, Axis::Urgency, signal)?;
            for phrase in phrases {
                for action in self.effects(Axis::Urgency, label, Strength::Weak) {
                    self.entry(lexicon, phrase, action)?;
                }
            }
        }
        self.together(lexicon)
    }

    fn together(&mut self, lexicon: &Lexicon) -> Result<(), LexiconError> {
        for rule in &lexicon.together {
            let (axis, label) = rule.speaks_for.split_once('.').unwrap_or((rule.speaks_for.as_str(), ""));
            let axis = match axis {
                "kind" => Axis::Kind,
                "category" => Axis::Category,
                "urgency" => Axis::Urgency,
                "sentiment" => Axis::Sentiment,
                _ => return Err(self.unknown(lexicon, &rule.speaks_for, "axis", "kind, category, urgency, sentiment")),
            };
            let index = self.label(lexicon, axis, label)?;
            let number = self.rules.len() as u16;
            for (part, words) in rule.parts.iter().take(MAX_PARTS).enumerate() {
                for word in words {
                    self.entry(lexicon, word, Action::Part { rule: number, part: part as u8 })?;
                }
            }
            let words: Vec<_> = rule.parts.iter().filter_map(|part| part.first().map(String::as_str)).collect();
            self.rules.push(Rule {
                parts: rule.parts.len().min(MAX_PARTS) as u8,
                within: rule.within * lexicon.bytes_per_character(),
                effects: self.effects(axis, index, rule.strength),
                entry: format!("{}:{}", lexicon.language, words.join(" + ")).into(),
            });
        }
        Ok(())
    }

    fn label(&self, lexicon: &Lexicon, axis: Axis, label: &str) -> Result<u16, LexiconError> {
        fn position<T>(all: &[T], name: impl Fn(&T) -> &'static str, label: &str) -> Result<u16, String> {
            all.iter()
                .position(|candidate| name(candidate) == label)
                .map(|at| at as u16)
                .ok_or_else(|| all.iter().map(name).collect::<Vec<_>>().join(", "))
        }
        match axis {
            Axis::Kind => position(Kind::ALL, |kind| kind.as_str(), label),
            Axis::Category => position(Category::ALL, |category| category.as_str(), label),
            Axis::Sentiment => position(Sentiment::ALL, |sentiment| sentiment.as_str(), label),
            Axis::Urgency => self.signals.index(label).ok_or_else(|| self.signals.names()),
        }
        .map_err(|known| self.unknown(lexicon, label, axis.name(), &known))
    }

    fn unknown(&self, lexicon: &Lexicon, label: &str, axis: &'static str, known: &str) -> LexiconError {
        LexiconError::UnknownLabel {
            name: lexicon.language.clone(),
            label: label.to_owned(),
            axis,
            known: known.to_owned(),
        }
    }

    /// The folded pattern with its spaces, and how many stand before and after.
    fn pattern_of(&mut self, lexicon: &Lexicon, entry: &str) -> Result<(String, u8, u8), LexiconError> {
        let (open_start, open_end) = (entry.starts_with('*'), entry.ends_with('*'));
        self.folded.fold("", entry.trim_matches('*'));
        let words = self.folded.as_str().trim();
        let (Some(first), Some(last)) = (words.chars().next(), words.chars().next_back()) else {
            return Err(LexiconError::EmptyEntry { name: lexicon.language.clone(), entry: entry.to_owned() });
        };
        let lead = !open_start && !crate::letters::is_unspaced(first);
        let trail = !open_end && !crate::letters::is_unspaced(last);
        let pattern = format!("{}{words}{}", if lead { " " } else { "" }, if trail { " " } else { "" });
        Ok((pattern, u8::from(lead), u8::from(trail)))
    }

    fn entry(&mut self, lexicon: &Lexicon, entry: &str, action: Action) -> Result<(), LexiconError> {
        let (pattern, lead, trail) = self.pattern_of(lexicon, entry)?;
        let padded = format!(" {} ", pattern.trim());
        let denies_itself = self.denials.iter().any(|denial| padded.contains(denial.as_str()));
        let draft = self.drafts.entry(pattern).or_insert_with(|| Draft {
            lead,
            trail,
            denies_itself,
            actions: Vec::new(),
            entry: format!("{}:{entry}", lexicon.language),
        });
        draft.add(action);
        Ok(())
    }

    pub fn finish(self, name: &str, reach: u32) -> Result<Matcher, LexiconError> {
        let mut patterns = Vec::with_capacity(self.drafts.len());
        let mut actions = Vec::new();
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(self.drafts.keys())
            .map_err(|error| LexiconError::Automaton { name: name.to_owned(), detail: error.to_string() })?;
        for draft in self.drafts.into_values() {
            let first = actions.len() as u32;
            actions.extend(draft.actions);
            patterns.push(Pattern {
                lead: draft.lead,
                trail: draft.trail,
                denies_itself: draft.denies_itself,
                actions: first..actions.len() as u32,
                entry: draft.entry.into(),
            });
        }
        Ok(Matcher { automaton, patterns, actions, rules: self.rules, reach })
    }

    /// What an entry does: a named problem is a complaint as well as a topic.
    fn effects(&self, axis: Axis, label: u16, strength: Strength) -> Vec<Action> {
        let weight = if axis == Axis::Urgency { 1.0 } else { strength.weight() };
        let topic = axis == Axis::Category && strength != Strength::Problem;
        let signal = if axis == Axis::Urgency { self.signals.get(label) } else { None };
        let undone_by = UndoneBy {
            denial: signal.is_none_or(|signal| !signal.even_if_denied),
            supposition: signal.is_some_and(|signal| signal.event),
        };
        let mut effects = vec![Action::Speak { axis, label, weight, topic, undone_by }];
        if strength == Strength::Problem && axis == Axis::Category {
            let undone_by = UndoneBy { denial: true, supposition: false };
            // `Kind::ALL` starts with the complaint; a test holds it there.
            effects.push(Action::Speak { axis: Axis::Kind, label: 0, weight: 2.0, topic: false, undone_by });
        }
        effects
    }
}

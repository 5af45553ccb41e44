//! The spans that caused the labels.

use crate::amount::FoundAmount;
use crate::compile::{Axis, Matcher};
use crate::fold::Folded;
use crate::scan::{Found, Source};
use crate::score::Silent;
use crate::signals::Signals;
use outcry_domain::classification::{Category, Classification, Evidence, Field, Kind, Sentiment};

/// At most so many spans for each label: a text of a megabyte has an answer of a few kilobytes.
const MAX_PER_LABEL: usize = 6;

/// Everything evidence is made from.
pub(crate) struct Sources<'a> {
    pub matcher: &'a Matcher,
    pub signals: &'a Signals,
    pub folded: &'a Folded,
    pub found: &'a [Found],
    pub silent: &'a [Silent],
    pub amounts: &'a [FoundAmount],
}

/// The evidence for the labels that were given, in the order of axis, label and place.
pub(crate) fn collect(sources: &Sources, labels: &Classification) -> Vec<Evidence> {
    let mut spoken: Vec<&Found> = sources.found.iter().filter(|found| supports(found, labels)).collect();
    spoken.sort_by_key(|found| (found.axis as u8, found.label, found.start, found.end));
    let mut evidence = Vec::with_capacity(spoken.len().min(24) + sources.silent.len());
    let mut previous = None;
    let mut of_label = 0;
    for found in spoken {
        let label = (found.axis as u8, found.label);
        of_label = if previous == Some(label) { of_label + 1 } else { 1 };
        previous = Some(label);
        if of_label <= MAX_PER_LABEL {
            evidence.push(span(sources, found));
        }
    }
    for silent in sources.silent {
        let Some(signal) = sources.signals.index(silent.0).and_then(|index| sources.signals.get(index)) else {
            continue;
        };
        evidence.push(Evidence {
            axis: Axis::Urgency.name().to_owned(),
            label: signal.name.clone(),
            field: Field::Text,
            start: 0,
            end: 0,
            signal: format!("circumstance:{}", silent.0),
            weight: weight_of(signal.points, signal.at_least),
        });
    }
    for found in sources.amounts {
        evidence.push(Evidence {
            axis: "amounts".to_owned(),
            label: found.amount.currency.clone(),
            field: Field::Text,
            start: found.start,
            end: found.end,
            signal: "amount".to_owned(),
            weight: 1.0,
        });
    }
    evidence
}

fn weight_of(points: i32, at_least: i32) -> f32 {
    if at_least > 0 { at_least as f32 } else { points as f32 }
}

/// `true` when a finding speaks for a label that was given.
fn supports(found: &Found, labels: &Classification) -> bool {
    let label = usize::from(found.label);
    match found.axis {
        Axis::Kind => Kind::ALL.get(label) == Some(&labels.kind.label) && !found.denied,
        Axis::Category => Category::ALL.get(label).is_some_and(|category| {
            *category == labels.category.label
                || labels.secondary_categories.iter().any(|secondary| secondary.label == *category)
        }),
        Axis::Urgency => !found.denied,
        Axis::Sentiment => {
            let negative = (Sentiment::ALL.get(label) == Some(&Sentiment::Negative)) != found.denied;
            match labels.sentiment.label {
                Sentiment::Negative => negative,
                Sentiment::Positive => !negative,
                Sentiment::Neutral => false,
            }
        }
    }
}

fn span(sources: &Sources, found: &Found) -> Evidence {
    let (start, end) = whole_words(sources.folded.as_str(), found.start as usize, found.end as usize);
    let (field, start, end) = sources.folded.origin(start, end);
    let label = usize::from(found.label);
    let (name, weight) = match found.axis {
        Axis::Kind => (Kind::ALL.get(label).map_or("", |kind| kind.as_str()).to_owned(), found.weight),
        Axis::Category => (Category::ALL.get(label).map_or("", |category| category.as_str()).to_owned(), found.weight),
        Axis::Sentiment => {
            (Sentiment::ALL.get(label).map_or("", |sentiment| sentiment.as_str()).to_owned(), found.weight)
        }
        Axis::Urgency => sources
            .signals
            .get(found.label)
            .map_or((String::new(), 0.0), |signal| (signal.name.clone(), weight_of(signal.points, signal.at_least))),
    };
    let entry = match found.source {
        Source::Pattern(index) => sources.matcher.patterns.get(index as usize).map(|pattern| &*pattern.entry),
        Source::Rule(index) => sources.matcher.rules.get(usize::from(index)).map(|rule| &*rule.entry),
        Source::Silence => None,
    };
    Evidence {
        axis: found.axis.name().to_owned(),
        label: name,
        field,
        start,
        end,
        signal: entry.unwrap_or_default().to_owned(),
        weight,
    }
}

/// A stem's span grows to the words it stands in, so that a person reads "delayed" and not "delay".
fn whole_words(text: &str, start: usize, end: usize) -> (usize, usize) {
    const LONGEST_WORD: usize = 40;
    let bytes = text.as_bytes();
    let unspaced = |at: usize| text[at..].chars().next().is_some_and(crate::letters::is_unspaced);
    let mut from = start;
    while from > 0
        && start - from < LONGEST_WORD
        && bytes[from - 1] != b' '
        && !(text.is_char_boundary(start) && unspaced(start))
    {
        from -= 1;
    }
    let mut to = end;
    while to < bytes.len()
        && to - end < LONGEST_WORD
        && bytes[to] != b' '
        && !(text.is_char_boundary(to) && unspaced(to))
    {
        to += 1;
    }
    (from, to)
}

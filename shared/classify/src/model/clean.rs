//! Training data as people have it: empty cells, the same row twice, one text under two labels, a label with one example.

use super::card::DataCounts;
use super::random::Random;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A labelled text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Example<'a> {
    /// Subject line; empty where there is none.
    pub subject: &'a str,
    /// The text.
    pub text: &'a str,
    /// What a person says it is.
    pub label: &'a str,
}

/// Texts of one training; more are thinned out evenly over the labels.
pub(crate) const MOST_TEXTS: usize = 200_000;
/// Characters (in bytes) of one training: what a machine of ordinary size has room for.
pub(crate) const MOST_BYTES: usize = 48 << 20;
/// A label with fewer examples cannot be learnt and checked.
pub(crate) const LEAST_EXAMPLES: usize = 2;

/// What can be learnt from.
#[derive(Debug)]
pub(crate) struct Cleaned<'a> {
    pub examples: Vec<Example<'a>>,
    /// Sorted by name.
    pub labels: Vec<String>,
    pub label_of: Vec<u32>,
    pub counts: DataCounts,
    /// Labels that were left away.
    pub rare: Vec<String>,
}

pub(crate) fn clean<'a>(examples: &[Example<'a>]) -> Cleaned<'a> {
    let mut counts = DataCounts { rows: examples.len(), ..DataCounts::default() };
    let mut kept = Vec::with_capacity(examples.len());
    let mut seen: HashSet<Example<'a>> = HashSet::new();
    let mut labels_of: HashMap<(&str, &str), usize> = HashMap::new();
    for example in examples {
        let example =
            Example { subject: example.subject.trim(), text: example.text.trim(), label: example.label.trim() };
        if example.label.is_empty() {
            counts.without_label += 1;
        } else if example.text.is_empty() && example.subject.is_empty() {
            counts.without_text += 1;
        } else if !seen.insert(example) {
            counts.repeated += 1;
        } else {
            let labels = labels_of.entry((example.subject, example.text)).or_default();
            *labels += 1;
            // With the second label the first contradicts as well.
            counts.contradicting += [0, 2].get(*labels - 1).copied().unwrap_or(1);
            kept.push(example);
        }
    }
    let mut of_label: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, example) in kept.iter().enumerate() {
        of_label.entry(example.label).or_default().push(place);
    }
    let mut rare = Vec::new();
    of_label.retain(|label, places| {
        let enough = places.len() >= LEAST_EXAMPLES;
        if !enough {
            counts.of_rare_labels += places.len();
            rare.push((*label).to_owned());
        }
        enough
    });
    counts.beyond_limit = thin(&mut of_label, &kept);
    let mut used: Vec<(usize, u32)> = Vec::new();
    for (label, places) in of_label.values().enumerate() {
        used.extend(places.iter().map(|place| (*place, label as u32)));
    }
    used.sort_unstable();
    counts.used = used.len();
    Cleaned {
        examples: used.iter().map(|(place, _)| kept[*place]).collect(),
        labels: of_label.keys().map(|label| (*label).to_owned()).collect(),
        label_of: used.iter().map(|(_, label)| *label).collect(),
        counts,
        rare,
    }
}

/// Leaves so many texts as one training takes, the same share of every label but never fewer than a few; gives how many
/// were left away.
fn thin(of_label: &mut BTreeMap<&str, Vec<usize>>, kept: &[Example<'_>]) -> usize {
    let size = |place: &usize| super::predict::cut(kept[*place].text).len() + kept[*place].subject.len();
    let texts: usize = of_label.values().map(Vec::len).sum();
    let bytes: usize = of_label.values().flatten().map(size).sum();
    let share = (MOST_TEXTS as f64 / texts.max(1) as f64).min(MOST_BYTES as f64 / bytes.max(1) as f64);
    if share >= 1.0 {
        return 0;
    }
    let mut random = Random::new(0x7417);
    for places in of_label.values_mut() {
        let keep = ((places.len() as f64 * share) as usize).max(places.len().min(5 * LEAST_EXAMPLES));
        random.shuffle(places);
        places.truncate(keep);
    }
    texts - of_label.values().map(Vec::len).sum::<usize>()
}

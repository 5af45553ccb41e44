//! Texts as counts of n-grams, and the vocabulary they share.

use super::grams::{self, VIEWS, View};
use super::reading::Reading;
use std::collections::HashMap;

/// More n-grams than these are never kept: see [`super::weights`] for why sums then stay exact.
pub(crate) const MAX_FEATURES: usize = 1 << 18;
/// Counters of the first look, which tells what is seen once from what comes again.
const SKETCH: usize = 1 << 24;

/// What one text holds: its n-grams by number, and how often each stands in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub feature: u32,
    pub count: u32,
}

/// The texts of the training data.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    /// The hash of every feature; the most frequent come first, so that what is needed often lies together.
    pub hashes: Vec<u64>,
    /// The view of every feature.
    pub views: Vec<View>,
    starts: Vec<usize>,
    counted: Vec<Counted>,
}

impl Corpus {
    /// Reads every text. An n-gram is kept when at least `least` texts have it.
    pub(crate) fn of(texts: &[(&str, &str)], least: [u32; VIEWS], most_features: usize) -> Self {
        let mut sketch = vec![0u8; SKETCH];
        let mut room = Room::default();
        for text in texts {
            for (_, hash, _) in room.counts(*text) {
                let counter = &mut sketch[hash as usize & (SKETCH - 1)];
                *counter = counter.saturating_add(1);
            }
        }
        let mut frequency: HashMap<u64, (View, u32)> = HashMap::new();
        for text in texts {
            for (view, hash, _) in room.counts(*text) {
                if u32::from(sketch[hash as usize & (SKETCH - 1)]) >= least[view as usize].min(255) {
                    frequency.entry(hash).or_insert((view, 0)).1 += 1;
                }
            }
        }
        let mut kept: Vec<(u32, u64, View)> = frequency
            .into_iter()
            .filter(|(_, (view, count))| *count >= least[*view as usize])
            .map(|(hash, (view, count))| (count, hash, view))
            .collect();
        kept.sort_unstable_by_key(|(count, hash, _)| (std::cmp::Reverse(*count), *hash));
        kept.truncate(most_features.min(MAX_FEATURES));
        let numbers: HashMap<u64, u32> =
            kept.iter().enumerate().map(|(number, (_, hash, _))| (*hash, number as u32)).collect();
        let mut corpus = Self {
            hashes: kept.iter().map(|(_, hash, _)| *hash).collect(),
            views: kept.iter().map(|(_, _, view)| *view).collect(),
            starts: vec![0],
            counted: Vec::new(),
        };
        for text in texts {
            let from = corpus.counted.len();
            for (_, hash, count) in room.counts(*text) {
                if let Some(feature) = numbers.get(&hash) {
                    corpus.counted.push(Counted { feature: *feature, count });
                }
            }
            corpus.counted[from..].sort_unstable_by_key(|counted| counted.feature);
            corpus.starts.push(corpus.counted.len());
        }
        corpus
    }

    pub(crate) fn texts(&self) -> usize {
        self.starts.len() - 1
    }

    /// N-grams in all texts.
    pub(crate) fn size(&self) -> usize {
        self.counted.len()
    }

    pub(crate) fn row(&self, text: usize) -> &[Counted] {
        &self.counted[self.starts[text]..self.starts[text + 1]]
    }

    /// In how many of the given texts each feature stands.
    pub(crate) fn frequencies(&self, texts: &[u32]) -> Vec<u32> {
        let mut frequencies = vec![0; self.hashes.len()];
        for text in texts {
            for counted in self.row(*text as usize) {
                frequencies[counted.feature as usize] += 1;
            }
        }
        frequencies
    }
}

/// What is used again from text to text.
#[derive(Default)]
struct Room {
    reading: Reading,
    hashes: Vec<(u64, View)>,
}

impl Room {
    /// The distinct n-grams of a text, in the order of their hashes.
    fn counts(&mut self, (subject, text): (&str, &str)) -> impl Iterator<Item = (View, u64, u32)> {
        self.reading.read(subject, text);
        self.hashes.clear();
        let hashes = &mut self.hashes;
        grams::each(&self.reading, |gram| hashes.push((gram.hash, gram.view)));
        hashes.sort_unstable_by_key(|(hash, _)| *hash);
        hashes.chunk_by(|left, right| left.0 == right.0).map(|same| (same[0].1, same[0].0, same.len() as u32))
    }
}

/// Sparse rows of weighted features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub starts: Vec<usize>,
    pub features: Vec<u32>,
    pub values: Vec<f32>,
}

impl Rows {
    pub(crate) fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.features[range.clone()], &self.values[range])
    }
}

/// Sublinear term frequency: the tenth time says less than the first.
pub(crate) fn term_frequency(count: u32) -> f32 {
    1.0 + (count.max(1) as f32).ln()
}

/// Smoothed inverse document frequency; 0 for what too few texts have.
pub(crate) fn inverse_frequencies(corpus: &Corpus, texts: &[u32], least: [u32; VIEWS]) -> Vec<f32> {
    let all = texts.len() as f32;
    let weigh = |(frequency, view): (u32, &View)| {
        if frequency < least[*view as usize] { 0.0 } else { ((1.0 + all) / (1.0 + frequency as f32)).ln() + 1.0 }
    };
    corpus.frequencies(texts).into_iter().zip(&corpus.views).map(weigh).collect()
}

/// Every text as a row: tf times idf, each view of length `shares[view]`.
pub(crate) fn weigh(corpus: &Corpus, idf: &[f32], shares: [f32; VIEWS]) -> Rows {
    let mut rows = Rows { starts: vec![0], ..Rows::default() };
    for text in 0..corpus.texts() {
        let from = rows.values.len();
        let mut squares = [0.0f32; VIEWS];
        for counted in corpus.row(text) {
            let value = term_frequency(counted.count) * idf[counted.feature as usize];
            if value > 0.0 {
                squares[corpus.views[counted.feature as usize] as usize] += value * value;
                rows.features.push(counted.feature);
                rows.values.push(value);
            }
        }
        let scales: [f32; VIEWS] =
            std::array::from_fn(|view| if squares[view] > 0.0 { shares[view] / squares[view].sqrt() } else { 0.0 });
        for (value, feature) in rows.values[from..].iter_mut().zip(&rows.features[from..]) {
            *value *= scales[corpus.views[*feature as usize] as usize];
        }
        rows.starts.push(rows.values.len());
    }
    rows
}

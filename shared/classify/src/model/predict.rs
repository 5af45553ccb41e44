//! A trained model: text in, label and confidence out.

use super::calibrate::{best, probabilities};
use super::card::Card;
use super::corpus::term_frequency;
use super::file::{self, EMPTY, Layout, ModelError, RECORD, SLOT, f32_at, u32_at};
use super::grams::{self, VIEWS};
use super::reading::Reading;

/// Characters of a text that are read; what a person has to say is said by then, and time stays bounded.
pub(crate) const READ_AT_MOST: usize = 1 << 16;
/// What a feature of a text is worth at most, in integers.
const HIGHEST: f32 = 32767.0;
/// Term frequencies that are ready made.
const READY: usize = 64;

/// A model in memory, or in a file that is mapped into it.
pub struct Model {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    layout: Layout,
    card: Card,
    term_frequencies: [f32; READY],
}

/// What a model says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Number of the label in [`Card::labels`].
    pub label: usize,
    /// How sure it is: calibrated on texts it had not learnt from.
    pub confidence: f32,
    /// Too unsure to be relied on: a person should look.
    pub needs_review: bool,
}

/// Room that one thread uses again from text to text.
#[derive(Debug, Default)]
pub struct Room {
    pub(crate) reading: Reading,
    counts: Vec<u32>,
    /// The features of the text, in the order in which they were first seen.
    pub(crate) seen: Vec<u32>,
    /// What each of `seen` is worth.
    pub(crate) worth: Vec<i32>,
    sums: Vec<i32>,
    /// The probability of every label.
    pub(crate) probabilities: Vec<f32>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (axis, labels) = (&self.card.axis, self.layout.labels);
        f.debug_struct("Model").field("axis", axis).field("labels", &labels).field("hash", &self.hash()).finish()
    }
}

impl Model {
    /// Checks the bytes of a model's file and takes them as they are, without a copy.
    pub fn open(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, ModelError> {
        let (layout, card) = file::open(bytes.as_ref())?;
        let term_frequencies = std::array::from_fn(|count| term_frequency(count as u32));
        Ok(Self { bytes: Box::new(bytes), layout, card, term_frequencies })
    }

    /// What it says of itself.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The name of a label.
    pub fn label(&self, label: usize) -> &str {
        self.card.labels.get(label).map_or("", String::as_str)
    }

    /// Changes with everything that can change an answer, and with nothing else: training on the same data another day
    /// gives the same hash.
    pub fn hash(&self) -> String {
        format!("{:08x}", self.layout.identity)
    }

    /// Below this confidence a person should look.
    pub fn review_below(&self) -> f32 {
        self.layout.review_below
    }

    /// Says what a text is.
    pub fn predict(&self, subject: &str, text: &str, room: &mut Room) -> Prediction {
        room.reading.read(subject, cut(text));
        let bytes: &[u8] = (*self.bytes).as_ref();
        let table = &bytes[self.layout.table.clone()];
        let mask = self.layout.slots - 1;
        room.counts.resize(self.layout.features.max(room.counts.len()), 0);
        room.seen.clear();
        let (counts, seen) = (&mut room.counts, &mut room.seen);
        grams::each(&room.reading, |gram| {
            if let Some(feature) = find(table, mask, gram.hash) {
                let count = &mut counts[feature as usize];
                if *count == 0 {
                    seen.push(feature);
                }
                *count += 1;
            }
        });
        self.weigh(bytes, room);
        self.sum(bytes, room);
        self.decide(bytes, room)
    }

    /// Tf times idf, of length one in each view, times the scale of the feature's weights: as integers, so that sums are
    /// exact in any order and on any machine.
    fn weigh(&self, bytes: &[u8], room: &mut Room) {
        let records = &bytes[self.layout.records.clone()];
        let record = |feature: u32| &records[feature as usize * RECORD..][..RECORD];
        let frequency =
            |count: u32| self.term_frequencies.get(count as usize).copied().unwrap_or_else(|| term_frequency(count));
        let mut squares = [0.0f32; VIEWS];
        for feature in &room.seen {
            let record = record(*feature);
            let value = frequency(room.counts[*feature as usize]) * f32_at(record, 0);
            squares[u32_at(record, 8) as usize] += value * value;
        }
        let scales: [f32; VIEWS] = std::array::from_fn(|view| {
            if squares[view] > 0.0 { self.layout.shares[view] / squares[view].sqrt() } else { 0.0 }
        });
        room.worth.clear();
        for feature in &room.seen {
            let record = record(*feature);
            let value = frequency(std::mem::take(&mut room.counts[*feature as usize])) * f32_at(record, 0);
            let worth = value * scales[u32_at(record, 8) as usize] * f32_at(record, 4);
            room.worth.push(worth.round().min(HIGHEST) as i32);
        }
    }

    /// The weights of all features seen.
    ///
    /// A text's values have length one, so with at most 2^18 features their sum is at most 2^9; times 32,767 and 127 that
    /// is below 2^31. A forged file may go beyond, and wraps.
    fn sum(&self, bytes: &[u8], room: &mut Room) {
        let labels = self.layout.labels;
        let weights = &bytes[self.layout.weights.clone()];
        room.sums.clear();
        room.sums.resize(labels, 0);
        for (feature, worth) in room.seen.iter().zip(&room.worth) {
            let worth = *worth as i16;
            for (sum, weight) in room.sums.iter_mut().zip(&weights[*feature as usize * labels..][..labels]) {
                *sum = sum.wrapping_add(i32::from(worth) * i32::from(i16::from(*weight as i8)));
            }
        }
    }

    fn decide(&self, bytes: &[u8], room: &mut Room) -> Prediction {
        let biases = &bytes[self.layout.biases.clone()];
        let score = |(label, sum): (usize, &i32)| *sum as f32 * self.layout.unit + f32_at(biases, label * 4);
        room.probabilities.clear();
        room.probabilities.extend(room.sums.iter().enumerate().map(score));
        if room.seen.is_empty() {
            // Nothing is known of such a text.
            room.probabilities.fill(0.0);
        }
        probabilities(&mut room.probabilities, self.layout.sharpness);
        let label = best(&room.probabilities);
        let confidence = room.probabilities.get(label).copied().unwrap_or_default();
        let needs_review = room.seen.is_empty() || confidence < self.layout.review_below;
        Prediction { label, confidence, needs_review }
    }

    /// What each n-gram of the text that was just predicted adds to a label beyond what it adds to the labels on average.
    pub(crate) fn contributions(&self, label: usize, room: &Room) -> Vec<(u32, f32)> {
        let bytes: &[u8] = (*self.bytes).as_ref();
        let (labels, weights) = (self.layout.labels, &bytes[self.layout.weights.clone()]);
        let contribution = |(feature, worth): (&u32, &i32)| {
            let row = &weights[*feature as usize * labels..][..labels];
            let sum: i32 = row.iter().map(|weight| i32::from(*weight as i8)).sum();
            let beyond = f32::from(row[label] as i8) - sum as f32 / labels as f32;
            (*feature, beyond * *worth as f32 * self.layout.unit * self.layout.sharpness)
        };
        room.seen.iter().zip(&room.worth).map(contribution).collect()
    }

    pub(crate) fn feature_of(&self, hash: u64) -> Option<u32> {
        let bytes: &[u8] = (*self.bytes).as_ref();
        find(&bytes[self.layout.table.clone()], self.layout.slots - 1, hash)
    }
}

/// The beginning of a text, as far as it is read.
pub(crate) fn cut(text: &str) -> &str {
    if text.len() <= READ_AT_MOST {
        return text;
    }
    text.char_indices().nth(READ_AT_MOST).map_or(text, |(end, _)| &text[..end])
}

#[inline]
fn find(table: &[u8], mask: usize, hash: u64) -> Option<u32> {
    let tag = (hash >> 32) as u32;
    let mut at = hash as usize & mask;
    loop {
        let slot = &table[at * SLOT..][..SLOT];
        let feature = u32_at(slot, 4);
        if feature == EMPTY {
            return None;
        }
        if u32_at(slot, 0) == tag {
            return Some(feature);
        }
        at = (at + 1) & mask;
    }
}

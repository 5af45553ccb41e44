//! The words that were the reason for a label.

use super::grams;
use super::predict::{Model, Room};
use crate::letters::is_unspaced;
use outcry_domain::classification::Field;

/// Spans of one answer at most.
const MOST_SPANS: usize = 6;
/// What a word says must be so much of what the strongest says.
const SHARE_OF_STRONGEST: f32 = 0.2;

/// Words, and what they add to the label beyond what they add to others on average, in log-odds.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Where the words stand.
    pub field: Field,
    /// First character.
    pub start: u32,
    /// One past the last character.
    pub end: u32,
    /// What they add.
    pub weight: f32,
}

/// A word, or one character of a script without spaces.
#[derive(Clone, Copy)]
struct Unit {
    start: usize,
    end: usize,
    weight: f32,
}

impl Model {
    /// The reasons for a label of the text that was predicted last in this room, in the order of the text.
    ///
    /// What an n-gram adds is shared by the characters it covers; a word has the sum of its characters. Words that say
    /// little beside the strongest are left away, and neighbours become one span.
    pub fn explain(&self, subject: &str, label: usize, room: &Room) -> Vec<Reason> {
        let units = self.units(label, room);
        let strongest = units.iter().map(|unit| unit.weight).fold(0.0f32, f32::max);
        if strongest <= 0.0 {
            return Vec::new();
        }
        let subject_length = subject.chars().count() as u32;
        let origins = &room.reading.origins;
        let mut reasons: Vec<Reason> = Vec::new();
        let mut last_end = None;
        for unit in units.iter().filter(|unit| unit.weight >= SHARE_OF_STRONGEST * strongest) {
            let (start, end) = (origins[unit.start], origins[unit.end - 1] + 1);
            let (field, shift) = if subject.is_empty() || start > subject_length {
                (Field::Text, if subject.is_empty() { 0 } else { subject_length + 1 })
            } else {
                (Field::Subject, 0)
            };
            let (start, end) = (start - shift, end - shift);
            // At most a space between them.
            let adjoins = last_end.is_some_and(|last: usize| unit.start <= last + 1);
            last_end = Some(unit.end);
            match reasons.last_mut() {
                Some(reason) if adjoins && reason.field == field => {
                    reason.end = end.max(reason.end);
                    reason.weight += unit.weight;
                }
                _ => reasons.push(Reason { field, start, end, weight: unit.weight }),
            }
        }
        if reasons.len() > MOST_SPANS {
            let mut weights: Vec<f32> = reasons.iter().map(|reason| reason.weight).collect();
            weights.sort_by(|left, right| right.total_cmp(left));
            reasons.retain(|reason| reason.weight >= weights[MOST_SPANS - 1]);
            reasons.truncate(MOST_SPANS);
        }
        for reason in &mut reasons {
            reason.weight = (reason.weight * 1000.0).round() / 1000.0;
        }
        reasons
    }

    fn units(&self, label: usize, room: &Room) -> Vec<Unit> {
        let reading = &room.reading;
        let weights = self.of_characters(label, room);
        let mut units = Vec::new();
        for word in &reading.words {
            let (start, end) = (word.start as usize, word.end as usize);
            let characters = &reading.characters[start..end];
            if !characters.iter().any(|c| c.is_alphanumeric() || !c.is_ascii()) {
                // A comma is no reason that a person could read.
                continue;
            }
            if characters.iter().any(|c| is_unspaced(*c)) {
                units.extend((start..end).map(|at| Unit { start: at, end: at + 1, weight: weights[at] }));
            } else {
                units.push(Unit { start, end, weight: weights[start..end].iter().sum() });
            }
        }
        units
    }

    fn of_characters(&self, label: usize, room: &Room) -> Vec<f32> {
        let reading = &room.reading;
        let mut contributions = self.contributions(label, room);
        contributions.sort_unstable_by_key(|(feature, _)| *feature);
        // A feature that stands in several places adds a part in each.
        let mut places: Vec<(usize, u32, u32)> = Vec::new();
        let mut times = vec![0u32; contributions.len()];
        grams::each(reading, |gram| {
            let known = self
                .feature_of(gram.hash)
                .and_then(|feature| contributions.binary_search_by_key(&feature, |(feature, _)| *feature).ok());
            if let (Some(place), true) = (known, gram.end > gram.start) {
                times[place] += 1;
                places.push((place, gram.start, gram.end));
            }
        });
        let mut weights = vec![0.0; reading.characters.len()];
        for (place, start, end) in places {
            let covered = start as usize..end as usize;
            let letters = reading.characters[covered.clone()].iter().filter(|c| **c != ' ').count().max(1);
            let part = contributions[place].1 / times[place] as f32 / letters as f32;
            for at in covered.filter(|at| reading.characters[*at] != ' ') {
                weights[at] += part;
            }
        }
        weights
    }
}

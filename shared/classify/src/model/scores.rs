//! How good labels are, beside those a person gave.

/// What stands where: `confusion[true label][given label]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    labels: usize,
    counts: Vec<u64>,
}

/// Of one label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelScore {
    /// Of the texts given this label, the share that has it.
    pub precision: f64,
    /// Of the texts that have this label, the share given it.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Texts that have this label.
    pub support: u64,
}

impl Confusion {
    /// Nothing counted yet.
    pub fn new(labels: usize) -> Self {
        Self { labels, counts: vec![0; labels * labels] }
    }

    /// Counts one text. Labels that are out of range are not counted.
    pub fn count(&mut self, truth: usize, given: usize) {
        if truth < self.labels && given < self.labels {
            self.counts[truth * self.labels + given] += 1;
        }
    }

    /// Texts of that true label that were given that label.
    pub fn get(&self, truth: usize, given: usize) -> u64 {
        self.counts[truth * self.labels + given]
    }

    /// Texts counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share that was given its own label.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.labels).map(|label| self.get(label, label)).sum();
        ratio(right, self.total())
    }

    /// Of one label.
    pub fn label(&self, label: usize) -> LabelScore {
        let right = self.get(label, label);
        let support = (0..self.labels).map(|given| self.get(label, given)).sum();
        let given: u64 = (0..self.labels).map(|truth| self.get(truth, label)).sum();
        LabelScore {
            precision: ratio(right, given),
            recall: ratio(right, support),
            f1: ratio(2 * right, support + given),
            support,
        }
    }

    /// The mean F1 of all labels that a text has or was given.
    pub fn macro_f1(&self) -> f64 {
        let seen = |label: &usize| (0..self.labels).any(|other| self.get(*label, other) + self.get(other, *label) > 0);
        let scores: Vec<f64> = (0..self.labels).filter(seen).map(|label| self.label(label).f1).collect();
        if scores.is_empty() { 0.0 } else { scores.iter().sum::<f64>() / scores.len() as f64 }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

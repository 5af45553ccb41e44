//! What is learnt from, and in which manner.

use super::corpus::Rows;

/// Rows with labels.
#[derive(Clone, Copy)]
pub(crate) struct Lesson<'a> {
    pub rows: &'a Rows,
    /// Number of features.
    pub features: usize,
    /// Number of labels.
    pub labels: usize,
    /// The label of every row.
    pub label_of: &'a [u32],
    /// The rows to learn from.
    pub examples: &'a [u32],
}

/// Which learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learner {
    /// A support vector machine for each label.
    Margins,
    /// One logistic regression for all labels.
    Softmax,
}

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Manner {
    pub learner: Learner,
    /// The price of an error, beside that of large weights.
    pub cost: f32,
    /// 0: every text counts the same; 1: every label counts the same.
    pub balance: f32,
    /// How much more an n-gram counts that is more frequent under one label than elsewhere (the log-count ratio of naive
    /// Bayes; Wang and Manning, ACL 2012).
    pub emphasis: f32,
    /// How much complement naive Bayes is mixed in.
    pub bayes: f32,
}

/// The weights of all labels; those of one feature lie together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    pub labels: usize,
    pub weights: Vec<f32>,
    pub biases: Vec<f32>,
}

impl Weights {
    pub(crate) fn zero(features: usize, labels: usize) -> Self {
        Self { labels, weights: vec![0.0; features * labels], biases: vec![0.0; labels] }
    }

    pub(crate) fn of(&self, feature: u32) -> &[f32] {
        &self.weights[feature as usize * self.labels..][..self.labels]
    }

    pub(crate) fn of_mut(&mut self, feature: u32) -> &mut [f32] {
        &mut self.weights[feature as usize * self.labels..][..self.labels]
    }

    /// What every label is worth for a row.
    pub(crate) fn scores(&self, features: &[u32], values: &[f32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.extend_from_slice(&self.biases);
        for (feature, value) in features.iter().zip(values) {
            for (score, weight) in scores.iter_mut().zip(self.of(*feature)) {
                *score += weight * value;
            }
        }
    }
}

/// Learns. The same lesson and manner give the same weights.
pub(crate) fn learn(lesson: Lesson<'_>, manner: Manner) -> Weights {
    let costs = costs(lesson, manner);
    let mut weights = match manner.learner {
        Learner::Margins => super::margins::learn(lesson, &costs, manner.emphasis),
        Learner::Softmax => super::softmax::learn(lesson, &costs),
    };
    if manner.bayes > 0.0 {
        super::bayes::blend(lesson, &mut weights, manner.bayes);
    }
    weights
}

/// What an error costs for each example: rare labels cost more, by the balance.
fn costs(lesson: Lesson<'_>, manner: Manner) -> Vec<f32> {
    let mut of_label = vec![0u32; lesson.labels];
    for example in lesson.examples {
        of_label[lesson.label_of[*example as usize] as usize] += 1;
    }
    let present = of_label.iter().filter(|count| **count > 0).count() as f32;
    let even = lesson.examples.len() as f32 / present.max(1.0);
    let cost = |example: &u32| {
        let count = of_label[lesson.label_of[*example as usize] as usize] as f32;
        manner.cost * (even / count).powf(manner.balance)
    };
    lesson.examples.iter().map(cost).collect()
}

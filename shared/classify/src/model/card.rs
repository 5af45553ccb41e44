//! What a model says of itself.

use super::scores::{Confusion, LabelScore};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The model card; it is part of the model's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// What the labels speak of: `subcategory`, or any name.
    pub axis: String,
    /// The labels, in the order of the model.
    pub labels: Vec<String>,
    /// Day of training, as it was given.
    pub trained_on: String,
    /// What was learnt from.
    pub data: DataCard,
    /// How it learnt.
    pub manner: MannerCard,
    /// How good it is on texts it had not learnt from.
    pub scores: ScoreCard,
}

/// What a model was trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataCard {
    /// The name of the file.
    pub file: String,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Where the text stood.
    pub text_column: String,
    /// Where the label stood.
    pub label_column: String,
    /// Where the subject stood, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_column: Option<String>,
    /// What was found in it, and what was left away.
    pub counts: DataCounts,
}

/// What stood in the training data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataCounts {
    /// Rows of the file.
    pub rows: usize,
    /// Left away: no text.
    pub without_text: usize,
    /// Left away: no label.
    pub without_label: usize,
    /// Left away: the same text and label again.
    pub repeated: usize,
    /// Kept, though the same text has another label elsewhere.
    pub contradicting: usize,
    /// Left away: their label has too few examples.
    pub of_rare_labels: usize,
    /// Left away: more rows than one training takes.
    pub beyond_limit: usize,
    /// Learnt from.
    pub used: usize,
}

/// How a model learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MannerCard {
    /// `margins` (support vector machines) or `softmax` (logistic regression).
    pub learner: String,
    /// The price of an error.
    pub cost: f32,
    /// 0: every text counts the same; 1: every label counts the same.
    pub balance: f32,
    /// Weight of the naive Bayes log-count ratio.
    pub emphasis: f32,
    /// How much complement naive Bayes is mixed in.
    pub bayes: f32,
    /// N-grams known.
    pub features: usize,
    /// Manners that were tried.
    pub tried: usize,
}

/// Scores by stratified cross-validation: every text was judged by weights that had not learnt from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreCard {
    /// Parts of the cross-validation.
    pub parts: usize,
    /// The share of texts that got their own label.
    pub accuracy: f64,
    /// The same before weights were cut to eight bits.
    pub accuracy_before_quantisation: f64,
    /// The mean F1 of the labels.
    pub macro_f1: f64,
    /// By how much confidence and the share of right answers differ, over ten bands.
    pub calibration_error: f64,
    /// The share below the threshold.
    pub review_share: f64,
    /// The share of right answers among the others.
    pub accuracy_above_threshold: f64,
    /// Each label.
    pub per_label: BTreeMap<String, LabelCard>,
    /// Texts by true label and given label; what is 0 is left away.
    pub confusion: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The scores of one label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelCard {
    /// Of the texts given this label, the share that has it.
    pub precision: f64,
    /// Of the texts that have this label, the share given it.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Texts that have this label.
    pub support: u64,
}

/// Four digits: more is noise.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The scores of each label by its name.
pub fn per_label(confusion: &Confusion, labels: &[String]) -> BTreeMap<String, LabelCard> {
    let card = |score: LabelScore| LabelCard {
        precision: rounded(score.precision),
        recall: rounded(score.recall),
        f1: rounded(score.f1),
        support: score.support,
    };
    labels.iter().enumerate().map(|(label, name)| (name.clone(), card(confusion.label(label)))).collect()
}

/// The table by names: true label, then given label; what is 0 is left away.
pub fn named(confusion: &Confusion, labels: &[String]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let row = |truth: usize| {
        let given = labels.iter().enumerate().map(|(given, name)| (name.clone(), confusion.get(truth, given)));
        given.filter(|(_, count)| *count > 0).collect()
    };
    labels.iter().enumerate().map(|(truth, name)| (name.clone(), row(truth))).collect()
}

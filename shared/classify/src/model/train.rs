//! From labelled texts to the bytes of a model.

use super::calibrate::{HeldOut, best, probabilities};
use super::card::{Card, DataCard, MannerCard, ScoreCard, named, per_label, rounded};
use super::clean::{Cleaned, Example, LEAST_EXAMPLES, clean};
use super::corpus::{Corpus, MAX_FEATURES};
use super::file::{self, MAX_LABELS, Parts};
use super::folds;
use super::lesson::{Learner, Lesson, Weights, learn};
use super::predict::cut;
use super::quantise::quantise;
use super::scores::Confusion;
use super::search::{Chosen, Field, PARTS, all_rows, candidates, choose};
use super::speak::{REVIEW, fixed_labels};

/// Weights of one model: 64 MB in its file.
const MAX_WEIGHTS: usize = 1 << 26;
/// Below this confidence an answer is more often wrong than right.
const REVIEW_BELOW: f32 = 0.5;
/// Each view has half of the square of a text's length.
const SHARES: [f32; 2] = [std::f32::consts::FRAC_1_SQRT_2; 2];
/// From so many texts on, a word that one of them has is no help.
const MANY_TEXTS: usize = 20_000;

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the labels speak of: `subcategory`, or any name.
    pub axis: String,
    /// Today; this crate has no clock.
    pub trained_on: String,
    /// Where the data came from; the counts are filled in here.
    pub data: DataCard,
    /// The threshold, if not the usual.
    pub review_below: Option<f32>,
    /// Cores to use. The model is the same for any number.
    pub threads: usize,
}

/// A model and what to say about it.
#[derive(Debug)]
pub struct Trained {
    /// The model's file.
    pub bytes: Vec<u8>,
    /// What it says of itself.
    pub card: Card,
    /// Labels that were left away: too few examples.
    pub rare_labels: Vec<String>,
}

/// Why nothing was learnt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// No row has both a text and a label.
    #[error(
        "nothing to learn from: of {rows} rows {without_label} have no label and {without_text} no text. Are these the \
         right columns?"
    )]
    NoExamples {
        /// Rows there are.
        rows: usize,
        /// Rows without a label.
        without_label: usize,
        /// Rows without a text.
        without_text: usize,
    },
    /// Nothing to tell apart.
    #[error(
        "only one label ({0:?}) has the {LEAST_EXAMPLES} different examples that learning needs: nothing to tell apart. \
         Add examples of another label"
    )]
    OneLabel(String),
    /// Every label is alone.
    #[error(
        "{labels} labels and none has {LEAST_EXAMPLES} different examples. Is the label column really a label, and not an \
         id or a text?"
    )]
    NothingComesAgain {
        /// Labels there are.
        labels: usize,
    },
    /// More than a model can hold.
    #[error("{labels} labels are more than the {MAX_LABELS} of one model. Is the label column really a label?")]
    TooManyLabels {
        /// Labels there are.
        labels: usize,
    },
    /// A fixed axis has fixed labels.
    #[error(
        "the axis {axis:?} has labels of its own, and {unknown:?} is none of them ({known}). Rename the label, or train \
         another axis"
    )]
    UnknownLabel {
        /// The axis.
        axis: String,
        /// A label that it does not have.
        unknown: String,
        /// Those that it has.
        known: String,
    },
    /// Urgency is for rules alone.
    #[error("urgency cannot be trained: its rules (safety, fraud, a lawyer) must never be outvoted by examples")]
    Urgency,
    /// The answer of an unsure model.
    #[error("the label \"review\" is what a model says when it is unsure: rename it in the training data")]
    ReservedLabel,
    /// Not one n-gram stands in two texts.
    #[error("the texts have nothing in common to learn from: no word or part of a word stands in two of them")]
    NothingInCommon,
}

/// Trains a model. `progress` is told how many attempts are over, of how many.
pub fn train(
    examples: &[Example<'_>],
    plan: Plan,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Trained, TrainError> {
    let Cleaned { examples, labels, label_of, counts, rare } = clean(examples);
    match labels.as_slice() {
        [] if !rare.is_empty() => return Err(TrainError::NothingComesAgain { labels: rare.len() }),
        [] => {
            let (rows, without_label, without_text) = (counts.rows, counts.without_label, counts.without_text);
            return Err(TrainError::NoExamples { rows, without_label, without_text });
        }
        [only] => return Err(TrainError::OneLabel(only.clone())),
        many if many.len() > MAX_LABELS => return Err(TrainError::TooManyLabels { labels: many.len() }),
        _ => {}
    }
    check_axis(&plan.axis, &labels)?;
    let texts: Vec<(&str, &str)> = examples.iter().map(|example| (example.subject, cut(example.text))).collect();
    let least = [if texts.len() < MANY_TEXTS { 1 } else { 2 }, 2];
    let corpus = Corpus::of(&texts, least, MAX_FEATURES.min(MAX_WEIGHTS / labels.len()));
    if corpus.size() == 0 {
        return Err(TrainError::NothingInCommon);
    }
    let part_of = folds::parts(&label_of, labels.len(), PARTS);
    let field = Field {
        corpus: &corpus,
        label_of: &label_of,
        labels: labels.len(),
        part_of: &part_of,
        least,
        shares: SHARES,
        threads: plan.threads,
    };
    let chosen = choose(field, &candidates(field), progress);
    let review_below = plan.review_below.unwrap_or(REVIEW_BELOW).clamp(0.0, 1.0);
    let (sharpness, scores) = judge(field, &chosen, &labels, review_below);
    let card = Card {
        axis: plan.axis,
        labels,
        trained_on: plan.trained_on,
        data: DataCard { counts, ..plan.data },
        manner: MannerCard {
            learner: match chosen.manner.learner {
                Learner::Margins => "margins",
                Learner::Softmax => "softmax",
            }
            .to_owned(),
            cost: chosen.manner.cost,
            balance: chosen.manner.balance,
            emphasis: chosen.manner.emphasis,
            bayes: chosen.manner.bayes,
            features: corpus.hashes.len(),
            tried: chosen.tried,
        },
        scores,
    };
    let bytes = finish(field, &chosen, &card, sharpness, review_below);
    Ok(Trained { bytes, card, rare_labels: rare })
}

fn check_axis(axis: &str, labels: &[String]) -> Result<(), TrainError> {
    if axis == "urgency" {
        return Err(TrainError::Urgency);
    }
    if labels.iter().any(|label| label == REVIEW) {
        return Err(TrainError::ReservedLabel);
    }
    match fixed_labels(axis) {
        Some(known) => match labels.iter().find(|label| !known.contains(&label.as_str())) {
            Some(unknown) => Err(TrainError::UnknownLabel {
                axis: axis.to_owned(),
                unknown: unknown.clone(),
                known: known.join(", "),
            }),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

/// Learns from every text and writes the file.
fn finish(field: Field<'_>, chosen: &Chosen, card: &Card, sharpness: f32, review_below: f32) -> Vec<u8> {
    let (idf, rows) = all_rows(field);
    let examples: Vec<u32> = (0..field.corpus.texts() as u32).collect();
    let weights: Weights = learn(
        Lesson {
            rows: &rows,
            features: field.corpus.hashes.len(),
            labels: field.labels,
            label_of: field.label_of,
            examples: &examples,
        },
        chosen.manner,
    );
    let quantised = quantise(&weights);
    let largest = quantised.scales.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    // A value is at most 1, so what a feature is worth is at most 32,767 units.
    let unit = largest / 32767.0;
    let records: Vec<(f32, f32, u32)> = idf
        .iter()
        .zip(&quantised.scales)
        .zip(&field.corpus.views)
        .map(|((idf, scale), view)| (*idf, scale / unit, *view as u32))
        .collect();
    file::write(&Parts {
        card,
        sharpness,
        review_below,
        unit,
        shares: field.shares,
        biases: &weights.biases,
        records: &records,
        hashes: &field.corpus.hashes,
        weights: &quantised.steps,
    })
}

/// Calibrates on the texts that were held out, and says how good the answers to them were.
fn judge(field: Field<'_>, chosen: &Chosen, labels: &[String], review_below: f32) -> (f32, ScoreCard) {
    let scores: Vec<f32> = chosen.trials.iter().flat_map(|trial| trial.scores.iter().copied()).collect();
    let truths: Vec<u32> =
        chosen.trials.iter().flat_map(|trial| &trial.texts).map(|text| field.label_of[*text as usize]).collect();
    let held_out = HeldOut { scores: &scores, truths: &truths, labels: field.labels };
    let sharpness = held_out.sharpness();
    let mut confusion = Confusion::new(field.labels);
    let (mut sure, mut sure_and_right) = (0u64, 0u64);
    let mut room = Vec::new();
    for (scores, truth) in scores.chunks_exact(field.labels).zip(&truths) {
        room.clear();
        room.extend_from_slice(scores);
        probabilities(&mut room, sharpness);
        let label = best(&room);
        confusion.count(*truth as usize, label);
        if room[label] >= review_below {
            sure += 1;
            sure_and_right += u64::from(label == *truth as usize);
        }
    }
    let all = truths.len().max(1) as f64;
    let before: usize = chosen.trials.iter().map(|trial| trial.right_before).sum();
    let card = ScoreCard {
        parts: PARTS,
        accuracy: rounded(confusion.accuracy()),
        accuracy_before_quantisation: rounded(before as f64 / all),
        macro_f1: rounded(confusion.macro_f1()),
        calibration_error: rounded(held_out.calibration_error(sharpness)),
        review_share: rounded(1.0 - sure as f64 / all),
        accuracy_above_threshold: rounded(sure_and_right as f64 / sure.max(1) as f64),
        per_label: per_label(&confusion, labels),
        confusion: named(&confusion, labels),
    };
    (sharpness, card)
}

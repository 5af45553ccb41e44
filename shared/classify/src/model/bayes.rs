//! Complement naive Bayes (Rennie et al., ICML 2003): what an n-gram says by how rare it is under all other labels.
//!
//! Alone it is worse than the learners that converge; a little of it steadies them where texts are short and labels noisy.

use super::lesson::{Lesson, Weights};

/// Taken to be seen so often before anything was seen.
const SMOOTHING: f32 = 0.3;
/// Rows by which the size of scores is measured.
const SAMPLE: usize = 2000;

/// Adds `share` of it to weights, by the size of the scores that either gives.
pub(crate) fn blend(lesson: Lesson<'_>, weights: &mut Weights, share: f32) {
    let bayes = learn(lesson);
    let factor = share * size(lesson, weights) / size(lesson, &bayes).max(f32::EPSILON);
    for (weight, addend) in weights.weights.iter_mut().zip(&bayes.weights) {
        *weight += factor * addend;
    }
}

fn learn(lesson: Lesson<'_>) -> Weights {
    let mut weights = Weights::zero(lesson.features, lesson.labels);
    let mut of_label = vec![0.0f32; lesson.labels];
    for example in lesson.examples {
        let label = lesson.label_of[*example as usize] as usize;
        let (features, values) = lesson.rows.row(*example as usize);
        for (feature, value) in features.iter().zip(values) {
            weights.of_mut(*feature)[label] += value;
            of_label[label] += value;
        }
    }
    let smoothing = SMOOTHING * lesson.features as f32;
    let all: f32 = of_label.iter().sum();
    let others: Vec<f32> = of_label.iter().map(|mass| (all - mass + smoothing).ln()).collect();
    for row in weights.weights.chunks_exact_mut(lesson.labels) {
        let total: f32 = row.iter().sum();
        let mut mean = 0.0;
        for (weight, others) in row.iter_mut().zip(&others) {
            *weight = others - (total - *weight + SMOOTHING).max(SMOOTHING).ln();
            mean += *weight / lesson.labels as f32;
        }
        // What is the same for all labels decides nothing and would cost digits.
        row.iter_mut().for_each(|weight| *weight -= mean);
    }
    weights
}

/// The root mean square of scores about the mean of their row.
fn size(lesson: Lesson<'_>, weights: &Weights) -> f32 {
    let step = lesson.examples.len().div_ceil(SAMPLE).max(1);
    let (mut squares, mut count) = (0.0f32, 0u32);
    let mut scores = Vec::new();
    for example in lesson.examples.iter().step_by(step) {
        let (features, values) = lesson.rows.row(*example as usize);
        weights.scores(features, values, &mut scores);
        let mean = scores.iter().sum::<f32>() / scores.len() as f32;
        squares += scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f32>();
        count += scores.len() as u32;
    }
    (squares / count.max(1) as f32).sqrt()
}

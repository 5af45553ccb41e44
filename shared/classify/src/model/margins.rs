//! A line for each label against all others: linear support vector machines.

use super::corpus::Rows;
use super::descent::{Line, Question, solve};
use super::lesson::{Lesson, Weights};

/// Differences of the gradient below which a line is drawn well enough.
const TOLERANCE: f32 = 0.1;

pub(crate) fn learn(lesson: Lesson<'_>, costs: &[f32], emphasis: f32) -> Weights {
    let mut weights = Weights::zero(lesson.features, lesson.labels);
    // Of two labels one line tells.
    let questions = if lesson.labels == 2 { 1 } else { lesson.labels };
    for label in 0..questions {
        let line = draw(lesson, label as u32, costs, emphasis);
        weights.biases[label] = line.bias;
        for (feature, weight) in line.weights.iter().enumerate() {
            weights.weights[feature * lesson.labels + label] = *weight;
        }
    }
    if lesson.labels == 2 {
        weights.biases[1] = -weights.biases[0];
        for pair in weights.weights.chunks_exact_mut(2) {
            pair[1] = -pair[0];
        }
    }
    weights
}

fn draw(lesson: Lesson<'_>, label: u32, costs: &[f32], share: f32) -> Line {
    let yes: Vec<bool> = lesson.examples.iter().map(|example| lesson.label_of[*example as usize] == label).collect();
    let question = |rows| Question {
        rows,
        features: lesson.features,
        examples: lesson.examples,
        yes: &yes,
        costs,
        tolerance: TOLERANCE,
        seed: u64::from(label),
    };
    if share == 0.0 {
        return solve(&question(lesson.rows));
    }
    let scales = emphasis(lesson, &yes, share);
    let mut rows: Rows = lesson.rows.clone();
    for (value, feature) in rows.values.iter_mut().zip(&rows.features) {
        *value *= scales[*feature as usize];
    }
    let mut line = solve(&question(&rows));
    for (weight, scale) in line.weights.iter_mut().zip(&scales) {
        *weight *= scale;
    }
    line
}

/// By how much each feature is stretched: by 1 on average.
fn emphasis(lesson: Lesson<'_>, yes: &[bool], share: f32) -> Vec<f32> {
    // Each feature is taken to stand once on either side.
    let mut counts = vec![[1.0f32; 2]; lesson.features];
    for (example, yes) in lesson.examples.iter().zip(yes) {
        for feature in lesson.rows.row(*example as usize).0 {
            counts[*feature as usize][usize::from(*yes)] += 1.0;
        }
    }
    let add = |sum: [f64; 2], pair: &[f32; 2]| [sum[0] + f64::from(pair[0]), sum[1] + f64::from(pair[1])];
    let totals = counts.iter().fold([0.0f64; 2], add);
    let base = (totals[1] / totals[0]) as f32;
    let mut scales: Vec<f32> = counts.iter().map(|[no, yes]| (yes / no / base).ln().abs()).collect();
    let seen = counts.iter().zip(&scales).filter(|(pair, _)| pair[0] + pair[1] > 2.0).map(|(_, scale)| scale);
    let mean = seen.clone().sum::<f32>() / (seen.count().max(1) as f32);
    for scale in &mut scales {
        *scale = (1.0 - share) + share * *scale / mean.max(f32::EPSILON);
    }
    scales
}

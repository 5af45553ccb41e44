//! Multinomial logistic regression, trained in its dual, one text at a time, each step solved exactly.
//!
//! With `p` the dual variables of text `x` (a distribution over the labels), the weights are `Σ c (y - p) xᵀ`, and at the
//! optimum `p` is what the model says of `x`. A step sets `p` to the solution of `p = softmax(Wx + c|x|²(p_old - p))`.
//! All labels learn together, which is worth two points of accuracy where each has few examples.

use super::lesson::{Lesson, Weights};
use super::random::Random;

const MOST_PASSES: usize = 60;
/// Probability that moves in one pass, for each text, when it has converged.
const TOLERANCE: f32 = 0.01;
/// A change of probability that is not worth writing.
const SMALLEST_CHANGE: f32 = 1e-5;

/// Learns with the given cost of each example; until nothing moves any more.
pub(crate) fn learn(lesson: Lesson<'_>, costs: &[f32]) -> Weights {
    let labels = lesson.labels;
    let mut weights = Weights::zero(lesson.features, labels);
    let count = lesson.examples.len();
    let mut dual = vec![0.0f32; count * labels];
    for (index, example) in lesson.examples.iter().enumerate() {
        dual[index * labels + lesson.label_of[*example as usize] as usize] = 1.0;
    }
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut random = Random::new(1);
    let mut step = Step::default();
    let mut scores = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..MOST_PASSES {
        random.shuffle(&mut order);
        let mut moved = 0.0f64;
        for index in &order {
            let index = *index as usize;
            let (features, values) = lesson.rows.row(lesson.examples[index] as usize);
            let length = values.iter().map(|value| value * value).sum::<f32>() + 1.0;
            weights.scores(features, values, &mut scores);
            let old = &mut dual[index * labels..][..labels];
            step.solve(&scores, old, costs[index] * length);
            changes.clear();
            for (label, (old, new)) in old.iter_mut().zip(&step.solution).enumerate() {
                let change = *old - new;
                if change.abs() > SMALLEST_CHANGE {
                    moved += f64::from(change.abs());
                    changes.push((label, change * costs[index]));
                    *old = *new;
                }
            }
            apply(&mut weights, features, values, &changes);
        }
        if moved <= f64::from(TOLERANCE) * count as f64 {
            break;
        }
    }
    weights
}

fn apply(weights: &mut Weights, features: &[u32], values: &[f32], changes: &[(usize, f32)]) {
    for (feature, value) in features.iter().zip(values) {
        let weights = weights.of_mut(*feature);
        for (label, change) in changes {
            weights[*label] += change * value;
        }
    }
    for (label, change) in changes {
        weights.biases[*label] += change;
    }
}

/// The exact step of one text.
#[derive(Default)]
struct Step {
    aims: Vec<f32>,
    solution: Vec<f32>,
}

impl Step {
    /// Finds `p` with `ln p + stiffness * p = scores + stiffness * old - λ` and sum 1.
    fn solve(&mut self, scores: &[f32], old: &[f32], stiffness: f32) {
        self.aims.clear();
        self.aims.extend(scores.iter().zip(old).map(|(score, old)| score + stiffness * old));
        self.solution.resize(scores.len(), 0.0);
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut level = highest + scores.iter().map(|score| (score - highest).exp()).sum::<f32>().ln();
        let (mut low, mut high) = (f32::NEG_INFINITY, f32::INFINITY);
        for _ in 0..30 {
            let (mut sum, mut slope) = (0.0f32, 0.0f32);
            for (aim, solution) in self.aims.iter().zip(&mut self.solution) {
                *solution = share(aim - level, stiffness);
                sum += *solution;
                slope += *solution / (1.0 + stiffness * *solution);
            }
            if (sum - 1.0).abs() < 1e-5 {
                break;
            }
            if sum > 1.0 {
                low = level
            } else {
                high = level
            }
            let newton = level + (sum - 1.0) / slope.max(1e-12);
            level = if newton > low && newton < high {
                newton
            } else if low.is_finite() && high.is_finite() {
                0.5 * (low + high)
            } else if low.is_finite() {
                low + 1.0
            } else {
                high - 1.0
            };
        }
    }
}

/// The `p` with `ln p + stiffness * p = aim`.
fn share(aim: f32, stiffness: f32) -> f32 {
    if aim < -20.0 {
        return 0.0;
    }
    let start = aim.exp();
    if stiffness * start < 1e-3 {
        return start * (1.0 - stiffness * start);
    }
    // By Newton on u = ln p, from the side where it is monotone.
    let mut u = if stiffness * start < 1.0 { aim } else { (aim / stiffness).max(0.3 / stiffness).ln() };
    for _ in 0..20 {
        let p = stiffness * u.exp();
        let next = u - (u + p - aim) / (1.0 + p);
        if (next - u).abs() < 1e-6 {
            u = next;
            break;
        }
        u = next;
    }
    u.exp()
}

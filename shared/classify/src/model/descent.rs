//! A linear support vector machine with squared hinge loss, trained in its dual by coordinate descent to convergence
//! (Hsieh et al., ICML 2008), with shrinking.

use super::corpus::Rows;
use super::random::Random;

/// Passes over the data before it is taken as it is.
const MOST_PASSES: usize = 300;

/// One yes-or-no question over the rows.
pub(crate) struct Question<'a> {
    pub rows: &'a Rows,
    /// Number of features.
    pub features: usize,
    /// Rows to learn from.
    pub examples: &'a [u32],
    /// For each example: yes?
    pub yes: &'a [bool],
    /// For each example: how much an error costs.
    pub costs: &'a [f32],
    /// Differences of the gradient below which it has converged.
    pub tolerance: f32,
    pub seed: u64,
}

/// Where to draw the line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub weights: Vec<f32>,
    pub bias: f32,
}

pub(crate) fn solve(question: &Question<'_>) -> Line {
    let count = question.examples.len();
    let mut line = Line { weights: vec![0.0; question.features], bias: 0.0 };
    let mut alpha = vec![0.0f32; count];
    let mut order: Vec<u32> = (0..count as u32).collect();
    let row = |index: usize| question.rows.row(question.examples[index] as usize);
    let lengths: Vec<f32> =
        (0..count).map(|index| row(index).1.iter().map(|value| value * value).sum::<f32>() + 1.0).collect();
    let mut random = Random::new(question.seed);
    let mut active = count;
    let mut shrink_above = f32::INFINITY;
    for _ in 0..MOST_PASSES {
        random.shuffle(&mut order[..active]);
        let (mut highest, mut lowest) = (f32::NEG_INFINITY, f32::INFINITY);
        let mut at = 0;
        while at < active {
            let index = order[at] as usize;
            let (features, values) = row(index);
            let sign = if question.yes[index] { 1.0 } else { -1.0 };
            let softness = 0.5 / question.costs[index];
            let gradient = sign * line.value(features, values) - 1.0 + softness * alpha[index];
            let projected = if alpha[index] == 0.0 {
                if gradient > shrink_above {
                    active -= 1;
                    order.swap(at, active);
                    continue;
                }
                gradient.min(0.0)
            } else {
                gradient
            };
            highest = highest.max(projected);
            lowest = lowest.min(projected);
            if projected.abs() > 1e-9 {
                let old = alpha[index];
                alpha[index] = (old - gradient / (lengths[index] + softness)).max(0.0);
                line.add((alpha[index] - old) * sign, features, values);
            }
            at += 1;
        }
        if highest - lowest <= question.tolerance {
            if active == count {
                break;
            }
            active = count;
            shrink_above = f32::INFINITY;
        } else {
            shrink_above = if highest <= 0.0 { f32::INFINITY } else { highest };
        }
    }
    line
}

impl Line {
    #[inline]
    pub(crate) fn value(&self, features: &[u32], values: &[f32]) -> f32 {
        features.iter().zip(values).map(|(feature, value)| self.weights[*feature as usize] * value).sum::<f32>()
            + self.bias
    }

    #[inline]
    fn add(&mut self, step: f32, features: &[u32], values: &[f32]) {
        for (feature, value) in features.iter().zip(values) {
            self.weights[*feature as usize] += step * value;
        }
        self.bias += step;
    }
}

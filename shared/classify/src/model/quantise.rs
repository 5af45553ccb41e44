//! Weights in eight bits each, with a scale for each feature.

use super::lesson::Weights;

/// The largest step of an eight-bit weight.
const STEPS: f32 = 127.0;

/// Eight-bit weights, feature by feature.
pub(crate) struct Quantised {
    pub scales: Vec<f32>,
    pub steps: Vec<i8>,
}

pub(crate) fn quantise(weights: &Weights) -> Quantised {
    let mut quantised = Quantised { scales: Vec::new(), steps: Vec::with_capacity(weights.weights.len()) };
    for row in weights.weights.chunks_exact(weights.labels) {
        let scale = row.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs())) / STEPS;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        quantised.scales.push(scale);
        quantised.steps.extend(row.iter().map(|weight| (weight * inverse).round().clamp(-STEPS, STEPS) as i8));
    }
    quantised
}

/// Rounds weights to what eight bits can tell.
pub(crate) fn round(weights: &mut Weights) {
    let quantised = quantise(weights);
    let labels = weights.labels;
    for ((row, steps), scale) in
        weights.weights.chunks_exact_mut(labels).zip(quantised.steps.chunks_exact(labels)).zip(&quantised.scales)
    {
        for (weight, step) in row.iter_mut().zip(steps) {
            *weight = f32::from(*step) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_weight_moves_by_more_than_half_a_step_of_its_feature() {
        let weights = vec![0.5, -0.25, 0.01, 1e-6, -3e-6, 0.0, 0.0, 0.0, 0.0];
        let mut rounded = Weights { labels: 3, weights: weights.clone(), biases: vec![0.0; 3] };
        round(&mut rounded);
        for (row, (before, after)) in weights.chunks(3).zip(rounded.weights.chunks(3)).enumerate() {
            let largest = before.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
            for (before, after) in before.iter().zip(after) {
                assert!((before - after).abs() <= largest / 254.0 * 1.001, "row {row}: {before} {after}");
            }
        }
    }
}

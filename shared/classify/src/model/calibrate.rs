//! From scores to probabilities that mean what they say.

/// Turns scores into probabilities in place: `softmax(sharpness * score)`.
pub(crate) fn probabilities(scores: &mut [f32], sharpness: f32) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (sharpness * (*score - highest)).exp();
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
}

/// Scores of texts that were held out, one after the other, and their true labels.
pub(crate) struct HeldOut<'a> {
    pub scores: &'a [f32],
    pub truths: &'a [u32],
    pub labels: usize,
}

impl HeldOut<'_> {
    /// The mean negative log-likelihood of the true labels.
    fn loss(&self, sharpness: f32) -> f64 {
        let loss = |(scores, truth): (&[f32], &u32)| {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = scores.iter().map(|score| f64::from(sharpness * (score - highest)).exp()).sum();
            sum.ln() - f64::from(sharpness * (scores[*truth as usize] - highest))
        };
        let total: f64 = self.scores.chunks_exact(self.labels).zip(self.truths).map(loss).sum();
        total / self.truths.len().max(1) as f64
    }

    /// The sharpness (inverse temperature) under which the true labels are most likely: golden section on its logarithm,
    /// in which the loss has one valley.
    pub(crate) fn sharpness(&self) -> f32 {
        let golden = 0.5 * (5.0f32.sqrt() - 1.0);
        let (mut low, mut high) = (0.02f32.ln(), 50.0f32.ln());
        let loss = |logarithm: f32| self.loss(logarithm.exp());
        let mut left = high - golden * (high - low);
        let mut right = low + golden * (high - low);
        let (mut at_left, mut at_right) = (loss(left), loss(right));
        while high - low > 0.01 {
            if at_left < at_right {
                (high, right, at_right) = (right, left, at_left);
                left = high - golden * (high - low);
                at_left = loss(left);
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + golden * (high - low);
                at_right = loss(right);
            }
        }
        (0.5 * (low + high)).exp()
    }

    /// The expected calibration error: by how much confidence and the share of right answers differ, over ten bands.
    pub(crate) fn calibration_error(&self, sharpness: f32) -> f64 {
        let mut bands = [(0.0f64, 0u32, 0u32); 10];
        let mut room = Vec::new();
        for (scores, truth) in self.scores.chunks_exact(self.labels).zip(self.truths) {
            room.clear();
            room.extend_from_slice(scores);
            probabilities(&mut room, sharpness);
            let best = best(&room);
            let confidence = f64::from(room[best]);
            let band = &mut bands[((confidence * 10.0) as usize).min(9)];
            band.0 += confidence;
            band.1 += u32::from(best == *truth as usize);
            band.2 += 1;
        }
        let gap: f64 = bands.iter().map(|(confidence, right, _)| (confidence - f64::from(*right)).abs()).sum();
        gap / self.truths.len().max(1) as f64
    }
}

/// The place of the highest value; the first of equals.
pub(crate) fn best(values: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = place;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_becomes_the_share_of_right_answers() {
        // Seven in ten are right, whatever the score claims.
        let scores: Vec<f32> = (0..100).flat_map(|_| [9.0, 0.0]).collect();
        let truths: Vec<u32> = (0..100).map(|text| u32::from(text % 10 >= 7)).collect();
        let held_out = HeldOut { scores: &scores, truths: &truths, labels: 2 };
        let sharpness = held_out.sharpness();
        let mut first = vec![9.0, 0.0];
        probabilities(&mut first, sharpness);
        assert!((first[0] - 0.7).abs() < 0.01, "{first:?}");
        assert!(held_out.calibration_error(sharpness) < 0.01);
        assert!(held_out.calibration_error(1.0) > 0.25);
    }

    #[test]
    fn no_score_is_too_large() {
        let mut scores = vec![f32::MAX, 0.0, f32::MIN];
        probabilities(&mut scores, 50.0);
        assert_eq!(scores, [1.0, 0.0, 0.0]);
    }
}

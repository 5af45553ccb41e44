//! Finds the manner of learning that does best on texts it has not learnt from.
//!
//! Every candidate is tried by cross-validation. Where one attempt is dear, few parts are held out first and only the
//! better half goes on; how much is tried depends on the amount of data and never on a clock, so the same data choose
//! the same manner.

use super::calibrate::best;
use super::corpus::{Corpus, Rows, inverse_frequencies, weigh};
use super::folds::split;
use super::lesson::{Learner, Lesson, Manner, learn};
use super::quantise;
use super::scores::Confusion;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Parts of the cross-validation.
pub(crate) const PARTS: usize = 5;
/// Below this product of n-grams in all texts and labels, every candidate is tried on every part.
const CHEAP: usize = 30_000_000;

/// Text and labels, ready to learn.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub corpus: &'a Corpus,
    pub label_of: &'a [u32],
    pub labels: usize,
    pub part_of: &'a [u8],
    pub least: [u32; 2],
    pub shares: [f32; 2],
    pub threads: usize,
}

/// What a candidate did on one part that was held out.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// The texts that were held out.
    pub texts: Vec<u32>,
    /// Their scores, label by label, by weights that were cut to eight bits.
    pub scores: Vec<f32>,
    /// How many got the right label, and how many with weights as they were learnt.
    pub right: usize,
    pub right_before: usize,
}

/// The chosen manner, and what it did on every part.
pub(crate) struct Chosen {
    pub manner: Manner,
    pub trials: Vec<Trial>,
    pub tried: usize,
}

/// What is worth trying.
pub(crate) fn candidates(field: Field<'_>) -> Vec<Manner> {
    let margins = |cost, balance, emphasis, bayes| {
        let learner = Learner::Margins;
        Manner { learner, cost, balance, emphasis, bayes }
    };
    let softmax = |cost, balance| {
        let learner = Learner::Softmax;
        Manner { learner, cost, balance, emphasis: 0.0, bayes: 0.0 }
    };
    let mut candidates = vec![
        margins(0.1, 0.5, 0.6, 0.0),
        margins(0.1, 0.5, 0.6, 0.2),
        margins(0.3, 0.5, 0.0, 0.0),
        margins(0.3, 0.5, 0.3, 0.0),
        margins(0.3, 0.5, 0.3, 0.15),
        margins(0.6, 0.25, 0.0, 0.0),
        margins(1.0, 0.5, 0.3, 0.0),
    ];
    // It remembers a number for each text and label.
    if field.corpus.texts() * field.labels <= 1 << 26 {
        candidates.extend([softmax(3.0, 0.5), softmax(10.0, 0.5), softmax(30.0, 0.25)]);
    }
    candidates
}

/// Tries the candidates; `progress` is told how many attempts are over, of how many.
pub(crate) fn choose(field: Field<'_>, candidates: &[Manner], progress: &(dyn Fn(usize, usize) + Sync)) -> Chosen {
    let work = field.corpus.size() * field.labels;
    let rounds: &[usize] = if work < CHEAP { &[PARTS] } else { &[1, 1, PARTS - 2] };
    let mut alive: Vec<(Manner, Vec<Trial>)> = candidates.iter().map(|manner| (*manner, Vec::new())).collect();
    let mut left = alive.len();
    let expected: usize = rounds
        .iter()
        .scan(candidates.len(), |count, parts| {
            let attempts = *count * parts;
            *count = survivors(*count, rounds.len());
            Some(attempts)
        })
        .sum();
    let done = AtomicUsize::new(0);
    let mut from = 0;
    for (round, parts) in rounds.iter().enumerate() {
        let tell = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, expected);
        try_parts(field, &mut alive, from..from + parts, &tell);
        from += parts;
        // Of equals the earlier candidate: the sort is stable.
        alive.sort_by(|left, right| worth(field, &right.1).total_cmp(&worth(field, &left.1)));
        left = if round + 1 == rounds.len() { 1 } else { survivors(left, rounds.len()) };
        alive.truncate(left);
    }
    let (manner, trials) = alive.swap_remove(0);
    Chosen { manner, trials, tried: candidates.len() }
}

fn survivors(count: usize, rounds: usize) -> usize {
    if rounds == 1 { 1 } else { count.div_ceil(3).max(1) }
}

/// Accuracy counts, and so does every label: the mean of accuracy and macro-F1.
fn worth(field: Field<'_>, trials: &[Trial]) -> f64 {
    let mut confusion = Confusion::new(field.labels);
    for trial in trials {
        for (text, scores) in trial.texts.iter().zip(trial.scores.chunks_exact(field.labels)) {
            confusion.count(field.label_of[*text as usize] as usize, best(scores));
        }
    }
    0.5 * (confusion.accuracy() + confusion.macro_f1())
}

fn try_parts(
    field: Field<'_>,
    alive: &mut [(Manner, Vec<Trial>)],
    parts: std::ops::Range<usize>,
    tell: &(dyn Fn() + Sync),
) {
    for part in parts {
        let (examples, held_out) = split(field.part_of, part as u8);
        let idf = inverse_frequencies(field.corpus, &examples, field.least);
        let rows = weigh(field.corpus, &idf, field.shares);
        let lesson = Lesson {
            rows: &rows,
            features: field.corpus.hashes.len(),
            labels: field.labels,
            label_of: field.label_of,
            examples: &examples,
        };
        let next = AtomicUsize::new(0);
        let found: Vec<Mutex<Option<Trial>>> = alive.iter().map(|_| Mutex::new(None)).collect();
        thread::scope(|scope| {
            for _ in 0..field.threads.clamp(1, alive.len()) {
                scope.spawn(|| {
                    while let Some(index) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < alive.len())
                    {
                        let (manner, _) = &alive[index];
                        let trial = attempt(lesson, *manner, &held_out);
                        tell();
                        *found[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(trial);
                    }
                });
            }
        });
        for ((_, trials), trial) in alive.iter_mut().zip(found) {
            trials.extend(trial.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
    }
}

fn attempt(lesson: Lesson<'_>, manner: Manner, held_out: &[u32]) -> Trial {
    let mut weights = learn(lesson, manner);
    let mut trial = Trial { texts: held_out.to_vec(), scores: Vec::new(), right: 0, right_before: 0 };
    let mut room = Vec::new();
    let right = |weights: &super::lesson::Weights, room: &mut Vec<f32>, text: u32| {
        let (features, values) = lesson.rows.row(text as usize);
        weights.scores(features, values, room);
        usize::from(best(room) == lesson.label_of[text as usize] as usize)
    };
    for text in held_out {
        trial.right_before += right(&weights, &mut room, *text);
    }
    quantise::round(&mut weights);
    for text in held_out {
        trial.right += right(&weights, &mut room, *text);
        trial.scores.extend_from_slice(&room);
    }
    trial
}

/// All texts as rows, weighed by all of them.
pub(crate) fn all_rows(field: Field<'_>) -> (Vec<f32>, Rows) {
    let all: Vec<u32> = (0..field.corpus.texts() as u32).collect();
    let idf = inverse_frequencies(field.corpus, &all, field.least);
    let rows = weigh(field.corpus, &idf, field.shares);
    (idf, rows)
}

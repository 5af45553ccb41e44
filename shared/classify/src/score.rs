//! From what was found to one label per axis.
//!
//! All weights are small decimals added in the order of the text, and confidences are quotients of such sums: no
//! logarithm, no exponent, so that the same text gives the same bytes on every machine.

use crate::compile::Axis;
use crate::fold::Folded;
use crate::input::{Circumstances, Input};
use crate::scan::Found;
use crate::signals::{Signals, band};
use outcry_domain::classification::{Category, Kind, Scored, Sentiment, Urgency};
use outcry_domain::{AuthorKind, Direction};

/// Sums per label.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub kind: [f32; 6],
    pub category: [f32; 14],
    pub negative: f32,
    pub positive: f32,
    pub questions: u32,
    /// Something happened of which nobody writes but to complain.
    pub grievance: bool,
    pub shouting: bool,
}

/// What is written in the subject counts a little more: it names the main matter.
const SUBJECT_FACTOR: f32 = 1.3;
/// A long letter about a bank is full of the words of banking whatever it complains of: beyond this sum, a topic's words
/// count for less than the problems that are named.
const ENOUGH_OF_A_TOPIC: f32 = 8.0;
const MORE_OF_A_TOPIC: f32 = 0.25;
/// A category below this share of the first is not worth naming.
const SECONDARY_SHARE: f32 = 0.35;
const MAX_SECONDARY: usize = 3;

/// What a grievance such as an injury adds to a complaint: alone it makes one, beside loud praise it does not.
const GRIEVANCE: f32 = 2.5;

const COMPLAINT: usize = 0;
const QUESTION: usize = 1;
const PRAISE: usize = 2;
const REQUEST: usize = 3;
const SPAM: usize = 4;

impl Sums {
    pub fn of(found: &[Found], signals: &Signals, folded: &Folded) -> Self {
        let mut sums = Self::default();
        let mut topics = [0.0_f32; 14];
        for found in found {
            let in_subject = (found.start as usize) < folded.text_starts_at();
            let weight = if in_subject { found.weight * SUBJECT_FACTOR } else { found.weight };
            let label = usize::from(found.label);
            match found.axis {
                Axis::Kind => sums.add_kind(label, weight, found.denied),
                // A denied topic is still the topic: "not delivered".
                Axis::Category => {
                    let sums = if found.topic { &mut topics } else { &mut sums.category };
                    if let Some(sum) = sums.get_mut(label) {
                        *sum += weight;
                    }
                }
                Axis::Sentiment => sums.add_sentiment(label, weight, found.denied),
                Axis::Urgency => {
                    sums.grievance |= !found.denied && signals.get(found.label).is_some_and(|signal| signal.complaint);
                }
            }
        }
        for (sum, topic) in sums.category.iter_mut().zip(topics) {
            *sum += topic.min(ENOUGH_OF_A_TOPIC) + MORE_OF_A_TOPIC * (topic - ENOUGH_OF_A_TOPIC).max(0.0);
        }
        sums.questions = (folded.marks.question_marks + folded.subject_marks.question_marks).min(3);
        let marks = &folded.marks;
        let loud = marks.capitals * 2 > marks.letters && marks.shouted_words >= 3;
        sums.shouting = loud || marks.shouted_words >= 5 || marks.exclamation_marks >= 4;
        sums
    }

    fn add_kind(&mut self, label: usize, weight: f32, denied: bool) {
        match (label, denied) {
            // "not a complaint" says nothing; "not helpful" is one.
            (PRAISE, true) => self.kind[COMPLAINT] += weight,
            (_, true) => {}
            (label, false) => {
                if let Some(sum) = self.kind.get_mut(label) {
                    *sum += weight;
                }
            }
        }
    }

    fn add_sentiment(&mut self, label: usize, weight: f32, denied: bool) {
        let negative = Sentiment::ALL.get(label) == Some(&Sentiment::Negative);
        match (negative, denied) {
            (true, false) => self.negative += weight,
            // "not bad" is praise of a sort.
            (true, true) => self.positive += weight * 0.3,
            (false, true) => self.negative += weight,
            (false, false) => self.positive += weight,
        }
    }
}

fn rounded(value: f32) -> f32 {
    (value.clamp(0.0, 1.0) * 1000.0).round() / 1000.0
}

/// The quotient that stands for how sure a sum is beside its runner-up.
fn confidence(first: f32, second: f32) -> f32 {
    rounded(first / (first + second.max(0.0) + 1.5))
}

/// What the person wants.
pub(crate) fn kind(sums: &Sums, input: &Input) -> Scored<Kind> {
    if input.direction == Direction::Outbound {
        return Scored { label: Kind::Own, confidence: 1.0 };
    }
    let mut totals = sums.kind;
    totals[COMPLAINT] += 0.7 * sums.negative + if sums.shouting && sums.negative > 0.0 { 1.0 } else { 0.0 };
    totals[COMPLAINT] += if sums.grievance { GRIEVANCE } else { 0.0 };
    totals[PRAISE] += 0.6 * sums.positive;
    totals[QUESTION] += 1.2 * sums.questions as f32;
    match input.circumstances.rating {
        Some(1 | 2) => totals[COMPLAINT] += 4.0,
        Some(4 | 5) => totals[PRAISE] += 3.0,
        _ => {}
    }
    // Dissatisfaction is a complaint in whatever form it comes: as a question, as a request, with thanks at the end.
    let others = totals[QUESTION].max(totals[REQUEST]);
    if totals[COMPLAINT] >= 2.0 && totals[SPAM] < totals[COMPLAINT] && totals[PRAISE] < 1.5 * totals[COMPLAINT] {
        return Scored { label: Kind::Complaint, confidence: confidence(totals[COMPLAINT], others * 0.4) };
    }
    let mut best = QUESTION;
    for label in [REQUEST, PRAISE, SPAM, COMPLAINT] {
        if totals[label] > totals[best] {
            best = label;
        }
    }
    let second = totals.iter().enumerate().filter(|(label, _)| *label != best).map(|(_, total)| *total);
    let second = second.fold(0.0, f32::max);
    Scored { label: Kind::ALL[best], confidence: confidence(totals[best], second) }
}

/// What it is about: one category, and at most three more.
pub(crate) fn categories(sums: &Sums) -> (Scored<Category>, Vec<Scored<Category>>) {
    let mut order: Vec<usize> = (0..sums.category.len()).filter(|label| sums.category[*label] > 0.0).collect();
    // Equal sums keep the taxonomy's order: the sort is stable.
    order.sort_by(|a, b| sums.category[*b].total_cmp(&sums.category[*a]));
    let total = |rank: usize| order.get(rank).map_or(0.0, |label| sums.category[*label]);
    let Some(first) = order.first() else {
        return (Scored { label: Category::Other, confidence: 0.0 }, Vec::new());
    };
    let primary = Scored { label: Category::ALL[*first], confidence: confidence(total(0), total(1)) };
    let secondary = order
        .iter()
        .skip(1)
        .take(MAX_SECONDARY)
        .map(|label| (*label, sums.category[*label]))
        .filter(|(_, sum)| *sum >= SECONDARY_SHARE * total(0))
        .map(|(label, sum)| Scored { label: Category::ALL[label], confidence: confidence(sum, total(0)) })
        .collect();
    (primary, secondary)
}

/// How the writer feels.
pub(crate) fn sentiment(sums: &Sums, kind: Kind) -> Scored<Sentiment> {
    let negative = sums.negative + 0.6 * sums.kind[COMPLAINT];
    let positive = sums.positive + 0.8 * sums.kind[PRAISE];
    if negative < 1.0 && positive < 1.0 {
        let label = if kind == Kind::Complaint { Sentiment::Negative } else { Sentiment::Neutral };
        return Scored { label, confidence: 0.4 };
    }
    if negative >= positive {
        Scored { label: Sentiment::Negative, confidence: confidence(negative, positive) }
    } else {
        Scored { label: Sentiment::Positive, confidence: confidence(positive, negative) }
    }
}

/// A signal that no word of the text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silent(pub &'static str);

/// How fast someone must look, and the signals that no word stands for.
pub(crate) fn urgency(
    found: &[Found],
    signals: &Signals,
    sums: &Sums,
    kind: Kind,
    input: &Input,
) -> (Scored<Urgency>, u8, Vec<Silent>) {
    let base = match kind {
        Kind::Complaint => 35,
        Kind::Question | Kind::Request => 30,
        Kind::Praise => 10,
        Kind::Spam | Kind::Own => 0,
    };
    let mut silent = circumstances(&input.circumstances);
    if sums.shouting {
        silent.push(Silent("shouting"));
    }
    if input.author_kind == AuthorKind::Automatic {
        silent.push(Silent("automatic"));
    }
    let mut sum = base;
    let mut at_least = 0;
    let mut counted: Vec<u16> = Vec::new();
    let spoken = found.iter().filter(|found| found.axis == Axis::Urgency && !found.denied).map(|found| found.label);
    let unspoken = silent.iter().filter_map(|silent| signals.index(silent.0));
    for label in spoken.chain(unspoken) {
        // A signal counts once, however often it is said.
        if counted.contains(&label) {
            continue;
        }
        counted.push(label);
        if let Some(signal) = signals.get(label) {
            sum += signal.points;
            at_least = at_least.max(signal.at_least);
        }
    }
    // The brand's own words and unsolicited ones put nobody in danger.
    let score = if matches!(kind, Kind::Own | Kind::Spam) { 0 } else { sum.min(79).max(at_least).clamp(0, 100) };
    let confidence = if at_least > 0 && score == at_least { 0.9 } else { margin(score) };
    (Scored { label: band(score), confidence: rounded(confidence) }, score as u8, silent)
}

/// How far a score is from the nearest border of its band.
fn margin(score: i32) -> f32 {
    let distance = [25, 50, 80].iter().map(|border| (score - border).abs()).min().unwrap_or(0);
    0.5 + 0.02 * distance.min(20) as f32
}

fn circumstances(known: &Circumstances) -> Vec<Silent> {
    const LONG_WAIT_MS: u64 = 180_000;
    const MANY_FOLLOWERS: u64 = 50_000;
    const SPREADING: u64 = 50;
    let mut silent = Vec::new();
    let mut note = |holds: bool, name: &'static str| {
        if holds {
            silent.push(Silent(name));
        }
    };
    note(known.abandoned && known.wait_ms.is_some_and(|wait| wait > LONG_WAIT_MS), "missed_call");
    note(known.followers.is_some_and(|followers| followers >= MANY_FOLLOWERS), "reach");
    note(known.engagement.is_some_and(|engagement| engagement >= SPREADING), "spreading");
    note(known.repeats >= 2, "third_repeat");
    note(known.chasers >= 1, "chaser");
    silent
}

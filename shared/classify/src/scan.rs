//! One pass of the automaton over a folded text, and what of it counts.
//!
//! Where two entries of one axis overlap, the longer one speaks: "refund policy" is about terms though "refund" alone is
//! about money back. A denial within reach, and not across the end of a clause, turns an entry round. The third
//! repetition of an entry is the last that counts, so that the work and the result stay bounded on any text.

use crate::compile::{Action, Axis, MAX_PARTS, Matcher, UndoneBy};
use crate::fold::Folded;

/// Something that speaks for a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    pub axis: Axis,
    pub label: u16,
    pub weight: f32,
    /// Names the matter and no problem.
    pub topic: bool,
    /// Folded bytes.
    pub start: u32,
    pub end: u32,
    pub denied: bool,
    pub source: Source,
}

/// The entry that a finding comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Pattern(u32),
    Rule(u16),
    /// Stands on a stack to cover others and is dropped in the end.
    Silence,
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    pattern: u32,
    start: u32,
    end: u32,
    denied: bool,
    supposed: bool,
    weight: f32,
}

#[derive(Clone, Copy, Debug, Default)]
struct PartSeen {
    epoch: u32,
    start: u32,
    end: u32,
    denied: bool,
    supposed: bool,
}

/// Room that is used again from text to text, so that a text costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    epoch: u32,
    seen: Vec<(u32, u8)>,
    fired: Vec<(u32, u8)>,
    parts: Vec<[PartSeen; MAX_PARTS]>,
    hits: Vec<Hit>,
    stacks: [Vec<Found>; Axis::COUNT],
    /// What counts, in the order of axis and place.
    pub found: Vec<Found>,
}

const REPETITION_WEIGHT: [f32; 3] = [1.0, 0.5, 0.25];
const MAX_FIRINGS: u8 = 2;

#[derive(Default)]
struct Place {
    denial_end: Option<u32>,
    supposition_end: Option<u32>,
    clause_from: u32,
    sentence_from: u32,
}

impl Scan {
    /// Finds what the text says. The order of what it finds depends on nothing but the text and the lexicons.
    pub fn run(&mut self, matcher: &Matcher, folded: &Folded) {
        self.begin(matcher);
        let text = folded.as_str();
        let mut place = Place::default();
        for found in matcher.automaton.find_overlapping_iter(text) {
            let index = found.pattern().as_usize();
            let pattern = &matcher.patterns[index];
            let start = found.start() as u32 + u32::from(pattern.lead);
            let end = found.end() as u32 - u32::from(pattern.trail);
            let actions = &matcher.actions[pattern.actions.start as usize..pattern.actions.end as usize];
            let denied = !pattern.denies_itself && place.denies(start, matcher.reach);
            let supposed = place.supposes(start);
            let mut speaks = false;
            for action in actions {
                match *action {
                    Action::Break { sentence } => place.end_clause(end, sentence),
                    Action::DenyNext => place.denial_end = Some(end),
                    Action::Suppose => place.supposition_end = Some(end),
                    Action::DenyPrevious => self.deny_previous(matcher, start, place.clause_from),
                    Action::Part { rule, part } => {
                        let seen = PartSeen { epoch: self.epoch, start, end, denied, supposed };
                        self.part(matcher, rule, part, seen, place.sentence_from);
                    }
                    Action::Speak { .. } | Action::Ignore(_) => speaks = true,
                }
            }
            if speaks && let Some(weight) = self.repetition(index) {
                self.hits.push(Hit { pattern: index as u32, start, end, denied, supposed, weight });
            }
        }
        self.settle(matcher);
    }

    fn begin(&mut self, matcher: &Matcher) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Once in four billion texts the marks of old texts could be taken for new ones.
            self.seen.clear();
            self.fired.clear();
            self.parts.clear();
            self.epoch = 1;
        }
        if self.seen.len() < matcher.patterns.len() {
            self.seen.resize(matcher.patterns.len(), (0, 0));
        }
        if self.parts.len() < matcher.rules.len() {
            self.parts.resize(matcher.rules.len(), [PartSeen::default(); MAX_PARTS]);
            self.fired.resize(matcher.rules.len(), (0, 0));
        }
        self.hits.clear();
        self.found.clear();
        for stack in &mut self.stacks {
            stack.clear();
        }
    }

    fn repetition(&mut self, pattern: usize) -> Option<f32> {
        let (epoch, times) = &mut self.seen[pattern];
        if *epoch != self.epoch {
            (*epoch, *times) = (self.epoch, 0);
        }
        let weight = REPETITION_WEIGHT.get(usize::from(*times)).copied()?;
        *times += 1;
        Some(weight)
    }

    fn deny_previous(&mut self, matcher: &Matcher, denial_start: u32, clause_from: u32) {
        for hit in self.hits.iter_mut().rev() {
            if hit.end > denial_start {
                continue;
            }
            if denial_start - hit.end > matcher.reach || hit.start < clause_from {
                break;
            }
            hit.denied |= !matcher.patterns[hit.pattern as usize].denies_itself;
        }
    }

    fn part(&mut self, matcher: &Matcher, rule: u16, part: u8, seen: PartSeen, sentence_from: u32) {
        let number = usize::from(rule);
        self.parts[number][usize::from(part)] = seen;
        let rule_is = &matcher.rules[number];
        let parts = &self.parts[number][..usize::from(rule_is.parts)];
        if parts.iter().any(|part| part.epoch != self.epoch || part.start < sentence_from) {
            return;
        }
        let start = parts.iter().map(|part| part.start).min().unwrap_or(seen.start);
        let end = parts.iter().map(|part| part.end).max().unwrap_or(seen.end);
        let denied = parts.iter().any(|part| part.denied);
        let supposed = parts.iter().any(|part| part.supposed);
        let (epoch, times) = &mut self.fired[number];
        if *epoch != self.epoch {
            (*epoch, *times) = (self.epoch, 0);
        }
        if end - start > rule_is.within || *times >= MAX_FIRINGS {
            return;
        }
        let repetition = REPETITION_WEIGHT[usize::from(*times)];
        *times += 1;
        for effect in &rule_is.effects {
            if let Action::Speak { axis, label, weight, topic, undone_by } = *effect {
                let source = Source::Rule(rule);
                let denied = undone_by.apply(denied, supposed);
                self.found.push(Found { axis, label, weight: weight * repetition, topic, start, end, denied, source });
            }
        }
    }

    /// Leaves the longest of what overlaps.
    fn settle(&mut self, matcher: &Matcher) {
        for hit in &self.hits {
            let pattern = &matcher.patterns[hit.pattern as usize];
            for action in &matcher.actions[pattern.actions.start as usize..pattern.actions.end as usize] {
                let (start, end) = (hit.start, hit.end);
                let found = match *action {
                    Action::Speak { axis, label, weight, topic, undone_by } => {
                        let source = Source::Pattern(hit.pattern);
                        let denied = undone_by.apply(hit.denied, hit.supposed);
                        Found { axis, label, weight: weight * hit.weight, topic, start, end, denied, source }
                    }
                    Action::Ignore(axis) => Found {
                        axis,
                        label: 0,
                        weight: 0.0,
                        topic: true,
                        start,
                        end,
                        denied: false,
                        source: Source::Silence,
                    },
                    _ => continue,
                };
                lay(&mut self.stacks[found.axis as usize], found);
            }
        }
        for stack in &self.stacks {
            self.found.extend(stack.iter().filter(|found| found.source != Source::Silence));
        }
    }
}

/// Puts a finding on its axis's stack unless it is covered, and takes off what it covers.
fn lay(stack: &mut Vec<Found>, found: Found) {
    while let Some(top) = stack.last() {
        let same = top.start == found.start && top.end == found.end;
        if same {
            break;
        }
        if top.start <= found.start && found.end <= top.end {
            return;
        }
        if found.start <= top.start && top.end <= found.end {
            stack.pop();
        } else {
            break;
        }
    }
    stack.push(found);
}

impl Place {
    fn denies(&self, start: u32, reach: u32) -> bool {
        self.denial_end.is_some_and(|end| end <= start && start - end <= reach && self.clause_from <= end)
    }

    fn supposes(&self, start: u32) -> bool {
        self.supposition_end.is_some_and(|end| end <= start && self.clause_from <= end)
    }

    fn end_clause(&mut self, end: u32, sentence: bool) {
        self.clause_from = end;
        if sentence {
            self.sentence_from = end;
        }
    }
}

impl UndoneBy {
    fn apply(self, denied: bool, supposed: bool) -> bool {
        (denied && self.denial) || (supposed && self.supposition)
    }
}

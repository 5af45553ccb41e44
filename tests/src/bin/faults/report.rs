//! What came of each fault, for people and for programs.

use serde_json::{Value, json};
use std::fmt;

/// One fault, or one negative control.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// `F1`, or the name of a control.
    pub id: String,
    /// In a few words.
    pub what: &'static str,
    /// How often it was injected.
    pub rounds: u64,
    /// Items that the broker (or the door) acknowledged.
    pub acknowledged: u64,
    /// Acknowledged, and not in the analyst's view.
    pub lost: u64,
    /// More than once in the analyst's view.
    pub doubled: u64,
    /// Rows of one Kafka position beyond the first: what a sink wrote twice. A connector's repetition has a position of its own.
    pub physical_duplicates: u64,
    /// The longest time from the end of a fault until nothing lagged.
    pub heal_seconds: f64,
    /// Other invariants that did not hold, in words.
    pub problems: Vec<String>,
    /// Worth knowing, no fault of anyone.
    pub notes: Vec<String>,
}

impl Row {
    /// Another part of the same fault, with servers or services of its own.
    pub fn add(&mut self, part: Self) {
        self.rounds += part.rounds;
        self.acknowledged += part.acknowledged;
        self.lost += part.lost;
        self.doubled += part.doubled;
        self.physical_duplicates += part.physical_duplicates;
        self.heal_seconds = self.heal_seconds.max(part.heal_seconds);
        self.problems.extend(part.problems);
        self.notes.extend(part.notes);
    }

    /// Every invariant held.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.physical_duplicates == 0 && self.problems.is_empty()
    }

    /// The harness saw that something was wrong with what an analyst is shown.
    pub fn is_seen(&self) -> bool {
        self.lost > 0 || self.doubled > 0
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "what": self.what,
            "rounds": self.rounds,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "doubled": self.doubled,
            "physical_duplicates": self.physical_duplicates,
            "heal_seconds": (self.heal_seconds * 10.0).round() / 10.0,
            "problems": self.problems,
            "notes": self.notes,
        })
    }
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Reproduces it.
    pub seed: u64,
    /// Ours: nothing may be lost or doubled.
    pub faults: Vec<Row>,
    /// Wrong on purpose: each must be seen.
    pub controls: Vec<Row>,
}

impl Report {
    /// Nothing of ours failed, and every control did.
    pub fn holds(&self) -> bool {
        self.faults.iter().all(Row::is_clean) && self.controls.iter().all(Row::is_seen)
    }

    /// One document.
    pub fn to_json(&self) -> Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::to_json).collect::<Vec<_>>();
        json!({ "seed": self.seed, "faults": rows(&self.faults), "controls": rows(&self.controls), "holds": self.holds() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["rounds", "acknowledged", "lost", "doubled", "physical", "heal, s"];
        write!(f, "{:<18} {:<46}", "fault", "")?;
        heading.iter().try_for_each(|name| write!(f, " {name:>12}"))?;
        writeln!(f)?;
        let controls = self.controls.iter().map(|row| (row, if row.is_seen() { "seen" } else { "NOT SEEN" }));
        let faults = self.faults.iter().map(|row| (row, if row.is_clean() { "" } else { "FAILED" }));
        for (row, verdict) in faults.chain(controls) {
            write!(f, "{:<18} {:<46}", row.id, row.what)?;
            for number in [row.rounds, row.acknowledged, row.lost, row.doubled, row.physical_duplicates] {
                write!(f, " {number:>12}")?;
            }
            writeln!(f, " {:>12.1} {verdict}", row.heal_seconds)?;
            row.problems.iter().try_for_each(|problem| writeln!(f, "    not as it should be: {problem}"))?;
            row.notes.iter().try_for_each(|note| writeln!(f, "    {note}"))?;
        }
        let verdict = if self.holds() { "everything holds" } else { "IT DOES NOT HOLD" };
        writeln!(f, "seed {}: {verdict}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_that_passes_and_a_fault_that_does_not_fail_the_run() {
        let clean = Row { id: "F1".into(), acknowledged: 10, ..Row::default() };
        let lost = Row { lost: 1, ..clean.clone() };
        let report = |faults: &Row, controls: &Row| Report {
            seed: 1,
            faults: vec![faults.clone()],
            controls: vec![controls.clone()],
        };
        assert!(report(&clean, &lost).holds());
        assert!(!report(&clean, &clean).holds());
        assert!(!report(&lost, &lost).holds());
        assert!(!report(&Row { physical_duplicates: 1, ..clean.clone() }, &lost).holds());
        assert!(!report(&Row { problems: vec!["lag".into()], ..clean.clone() }, &lost).holds());
        assert_eq!(report(&clean, &lost).to_json()["controls"][0]["lost"], 1);
    }
}

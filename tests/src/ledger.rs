//! What was acknowledged against what an analyst sees, by set difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// How a view differs from the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Acknowledged, and not in the view.
    pub lost: Vec<String>,
    /// In the view more than once.
    pub doubled: Vec<String>,
    /// In the view, and never sent.
    pub unexpected: Vec<String>,
}

impl Difference {
    /// `true` when the view shows the ledger, each entry once and nothing else.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let examples = |keys: &[String]| keys.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        write!(
            f,
            "lost {} [{}], doubled {} [{}], unexpected {} [{}]",
            self.lost.len(),
            examples(&self.lost),
            self.doubled.len(),
            examples(&self.doubled),
            self.unexpected.len(),
            examples(&self.unexpected)
        )
    }
}

/// Compares what was acknowledged with what a view holds, row by row.
pub fn difference(acknowledged: &BTreeSet<String>, view: impl IntoIterator<Item = String>) -> Difference {
    let mut seen = BTreeMap::<String, u64>::new();
    for key in view {
        *seen.entry(key).or_default() += 1;
    }
    Difference {
        lost: acknowledged.iter().filter(|key| !seen.contains_key(*key)).cloned().collect(),
        doubled: seen.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key.clone()).collect(),
        unexpected: seen.keys().filter(|key| !acknowledged.contains(*key)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_a_double_and_a_stranger_are_told_apart() {
        let ledger = ["a", "b", "c"].map(String::from).into_iter().collect();
        let found = difference(&ledger, ["a", "c", "c", "x"].map(String::from));
        assert_eq!(
            (found.lost, found.doubled, found.unexpected),
            (vec!["b".into()], vec!["c".into()], vec!["x".into()])
        );
        assert!(difference(&ledger, ["c", "b", "a"].map(String::from)).is_none());
    }
}

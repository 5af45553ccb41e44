//! One pass over a text that tells which of the slower looks at its lines are worth taking.

use super::phrases::{DISCLAIMERS, FORWARDED, MOBILE_SIGNATURES, ORIGINAL, SAID, WROTE};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::sync::LazyLock;

/// What the text holds anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints {
    /// A phrase that stands above quoted or forwarded mail.
    pub separator: bool,
    /// A verb of an attribution, or an address before a colon.
    pub attribution: bool,
    /// A line of two dashes, or what telephones add.
    pub signature: bool,
    /// The beginning of a legal notice.
    pub disclaimer: bool,
}

#[derive(Clone, Copy)]
enum Hint {
    Separator,
    Attribution,
    Signature,
    Disclaimer,
}

/// The phrases of every kind, and which kind the n-th is of.
static PHRASES: LazyLock<Option<(AhoCorasick, Vec<Hint>)>> = LazyLock::new(|| {
    let mut patterns: Vec<&str> = Vec::new();
    let mut hints = Vec::new();
    for (hint, phrases) in [
        (Hint::Separator, ORIGINAL),
        (Hint::Separator, FORWARDED),
        (Hint::Attribution, WROTE),
        (Hint::Attribution, &[">:", ">：", "> :", "quoting ", "zitat von "][..]),
        (Hint::Attribution, SAID),
        (Hint::Signature, MOBILE_SIGNATURES),
        (Hint::Signature, &["\n--", "\n—", "____________________"][..]),
        (Hint::Disclaimer, DISCLAIMERS),
    ] {
        patterns.extend(phrases);
        hints.extend(phrases.iter().map(|_| hint));
    }
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .match_kind(MatchKind::Standard)
        .build(patterns)
        .ok()
        .map(|automaton| (automaton, hints))
});

impl Hints {
    pub fn of(text: &str) -> Self {
        let Some((automaton, kinds)) = PHRASES.as_ref() else {
            return Self { separator: true, attribution: true, signature: true, disclaimer: true };
        };
        let lower = if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() };
        let mut hints = Self::default();
        for found in automaton.find_overlapping_iter(&lower) {
            match kinds.get(found.pattern().as_usize()) {
                Some(Hint::Separator) => hints.separator = true,
                Some(Hint::Attribution) => hints.attribution = true,
                Some(Hint::Signature) => hints.signature = true,
                Some(Hint::Disclaimer) => hints.disclaimer = true,
                None => {}
            }
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_any_sign_is_not_looked_at_further() {
        let hints = Hints::of("The lamp came broken.\nPlease send another.\n");
        assert!(!hints.separator && !hints.attribution && !hints.signature && !hints.disclaimer);
    }

    #[test]
    fn signs_are_found_in_any_case_and_inside_each_other() {
        let hints = Hints::of("x\n-- \nSENT FROM MY phone\n-----Ursprüngliche NACHRICHT-----\nÉCRIT\nDisclaimer");
        assert!(hints.separator && hints.attribution && hints.signature && hints.disclaimer);
    }
}

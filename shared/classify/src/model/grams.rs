//! The n-grams of a text, each as a number.
//!
//! Words one by one and in pairs, the first and the last word, and about how many there are; characters two to five at a
//! time inside a word and its two borders. The same n-gram has
//! the same 64-bit number on every machine; a model knows the few that its training data showed often enough.

use super::reading::{Reading, Word};

/// Words, or characters: each is weighed and brought to length one on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum View {
    Words,
    Characters,
}

/// The number of views.
pub(crate) const VIEWS: usize = 2;

/// The shortest and the longest n-grams of characters.
pub(crate) const CHARACTERS: (usize, usize) = (2, 5);

const WORD_SEED: u64 = 0x51ed_270b_9f2c_4a11;
const PAIR_SEED: u64 = 0x2f0b_8a9e_6d3c_7715;
const FIRST_SEED: u64 = 0x71d6_7fff_eda6_0000;
const LAST_SEED: u64 = 0xfff7_eee0_0000_0001;
const LENGTH_SEED: u64 = 0x94d0_49bb_1331_11eb;
const CHARACTER_SEED: u64 = 0xa076_1d64_78bd_642f;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// An n-gram and the characters of the reading it covers; none for what is said of the text as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gram {
    pub view: View,
    pub hash: u64,
    pub start: u32,
    pub end: u32,
}

/// Calls `seen` with every n-gram, in a fixed order.
#[inline]
pub(crate) fn each(reading: &Reading, mut seen: impl FnMut(Gram)) {
    let mut before: Option<(u64, Word)> = None;
    for word in &reading.words {
        let characters = &reading.characters[word.start as usize..word.end as usize];
        let raw = characters.iter().fold(WORD_SEED, |hash, c| step(hash, *c as u64));
        seen(Gram { view: View::Words, hash: finish(raw), start: word.start, end: word.end });
        if let Some((previous, first)) = before {
            let hash = finish(step(previous ^ PAIR_SEED, raw));
            seen(Gram { view: View::Words, hash, start: first.start, end: word.end });
        } else {
            seen(Gram { view: View::Words, hash: finish(step(FIRST_SEED, raw)), start: word.start, end: word.end });
        }
        before = Some((raw, *word));
    }
    if let Some((raw, word)) = before {
        seen(Gram { view: View::Words, hash: finish(step(LAST_SEED, raw)), start: word.start, end: word.end });
        let magnitude = u64::from(reading.words.len().ilog2());
        seen(Gram { view: View::Words, hash: finish(step(LENGTH_SEED, magnitude)), start: 0, end: 0 });
    }
    let (shortest, longest) = CHARACTERS;
    let characters = &reading.characters;
    for start in 0..characters.len() {
        let mut hash = CHARACTER_SEED;
        for (length, c) in characters[start..].iter().take(longest).enumerate().map(|(index, c)| (index + 1, *c)) {
            hash = step(hash, c as u64);
            if length >= shortest {
                let (from, to) = (start as u32, (start + length) as u32);
                seen(Gram { view: View::Characters, hash: finish(hash), start: from, end: to });
            }
            if c == ' ' && length > 1 {
                break;
            }
        }
    }
}

#[inline]
fn step(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(5) ^ value).wrapping_mul(FACTOR)
}

/// Spreads what is left in the high bits over all of them.
#[inline]
fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(FACTOR);
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn grams(text: &str) -> Vec<(View, String, u64)> {
        let mut reading = Reading::default();
        reading.read("", text);
        let mut found = Vec::new();
        each(&reading, |gram| {
            let covered: String = reading.characters[gram.start as usize..gram.end as usize].iter().collect();
            found.push((gram.view, covered, gram.hash));
        });
        found
    }

    #[test]
    fn words_come_alone_and_in_pairs_and_characters_stay_inside_their_word() {
        let found = grams("No way");
        let of = |view| found.iter().filter(move |gram| gram.0 == view).map(|gram| gram.1.as_str()).collect::<Vec<_>>();
        assert_eq!(of(View::Words), ["no", "no", "way", "no way", "way", ""]);
        let expected = [
            " n", " no", " no ", "no", "no ", "o ", " w", " wa", " way", " way ", "wa", "way", "way ", "ay", "ay ",
            "y ",
        ];
        assert_eq!(of(View::Characters), expected);
    }

    #[test]
    fn the_same_n_gram_has_the_same_number_and_others_have_others() {
        let found = grams("the card was charged twice and the card was declined at the shop, twice!");
        // First word, last word and length cover the same characters as others do.
        let found: Vec<_> = found
            .into_iter()
            .filter(|(_, covered, _)| covered != "the" && covered != "!" && !covered.is_empty())
            .collect();
        let mut numbers: HashMap<(View, &str), u64> = HashMap::new();
        for (view, covered, hash) in &found {
            assert_eq!(*numbers.entry((*view, covered)).or_insert(*hash), *hash, "{covered}");
        }
        let distinct: HashSet<u64> = numbers.values().copied().collect();
        assert_eq!(distinct.len(), numbers.len());
    }
}

//! Which language a text is in, also when it is three words long.
//!
//! The script decides where it can. Languages in Latin letters are told apart by their small words, by letters that only
//! some of them use, by how their words end, and by `whichlang`'s opinion of the letters. What the source states and what
//! the brand's customers usually write break ties, and never overrule a clear text.

use crate::fold::Folded;
use crate::lexicon::LexiconError;
use crate::marks::Marks;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// The languages that can be found; `und` is said when none can.
pub(crate) const LANGUAGES: [&str; 15] =
    ["en", "it", "pt", "es", "fr", "de", "nl", "pl", "tr", "hi", "ar", "ru", "ja", "zh", "ko"];
/// The first so many share the Latin script (Hindi is written in it too, in messages).
const LATIN: usize = 10;
const EN: usize = 0;
const PT: usize = 2;
const HI: usize = 9;
const AR: usize = 10;
const RU: usize = 11;
const JA: usize = 12;
const ZH: usize = 13;
const KO: usize = 14;

/// A long text says its language in its first words.
const MAX_WORDS: usize = 160;
const MAX_WHICHLANG_BYTES: usize = 400;
const SHORTEST_WORD_WITH_ENDING: usize = 6;

/// Hindi in Latin letters is full of English nouns; its small words say whose grammar holds the sentence together.
const ROMANISED_HINDI: f32 = 1.6;

type Weights = [f32; LATIN];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Detected {
    /// BCP 47; `und` when nothing speaks for any language.
    pub language: &'static str,
    pub confidence: f32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    words: BTreeMap<String, String>,
    endings: BTreeMap<String, String>,
}

/// Tells languages apart.
#[derive(Debug)]
pub(crate) struct Detector {
    words: HashMap<Box<[u8]>, Weights, BuildHasherDefault<WordHasher>>,
    endings: HashMap<Box<[u8]>, Weights, BuildHasherDefault<WordHasher>>,
}

/// What a word that so many languages use says for each of them.
fn share(languages: usize) -> f32 {
    match languages {
        0 | 1 => 1.0,
        2 => 0.5,
        3 => 0.3,
        _ => 0.15,
    }
}

impl Detector {
    pub fn parse(source: &str) -> Result<Self, LexiconError> {
        let malformed = |source| LexiconError::Malformed { name: "languages".to_owned(), source: Box::new(source) };
        let table: Table = toml::from_str(source).map_err(malformed)?;
        Ok(Self { words: weigh(&table.words, 1.0), endings: weigh(&table.endings, 0.35) })
    }

    /// The language of a folded text. `original` is what it was folded from.
    pub fn detect(&self, folded: &Folded, original: &str, hint: Option<&str>, brand: &[String]) -> Detected {
        let marks = &folded.marks;
        let subject = &folded.subject_marks;
        if let Some(detected) = by_script(marks, subject) {
            return detected;
        }
        let mut scores = [0.0; LATIN];
        let words = self.count_words(folded, &mut scores);
        add_letters(marks, &mut scores);
        if words == 0 {
            return prior(hint, brand);
        }
        let (first, second) = best_two(&scores);
        // When the words leave no doubt there is no need to look at the letters.
        if scores[first] - scores[second] < 6.0 {
            let vote = whichlang::detect_language(head(original, MAX_WHICHLANG_BYTES));
            if let Some(index) = index_of(tag_of(vote)).filter(|index| *index < LATIN) {
                scores[index] += 0.6 + 0.12 * words.min(10) as f32;
            }
        }
        for (rank, language) in brand.iter().take(4).enumerate() {
            if let Some(index) = index_of(language).filter(|index| *index < LATIN) {
                scores[index] += 0.6 / (rank + 1) as f32;
            }
        }
        if let Some(index) = hint.and_then(index_of).filter(|index| *index < LATIN) {
            scores[index] += 1.0;
        }
        let (first, second) = best_two(&scores);
        if scores[first] <= 0.0 {
            return prior(hint, brand);
        }
        let confidence = scores[first] / (scores[first] + scores[second].max(0.0) + 0.5);
        Detected { language: LANGUAGES[first], confidence }
    }

    fn count_words(&self, folded: &Folded, scores: &mut Weights) -> usize {
        let mut words = 0;
        for word in folded.as_str().split(' ').filter(|word| is_word(word)).take(MAX_WORDS) {
            words += 1;
            if let Some(weights) = self.words.get(word.as_bytes()) {
                add(scores, weights, 1.0);
            } else if let Some(weights) = squeezed(word).and_then(|word| self.words.get(word.as_bytes())) {
                add(scores, weights, 0.8);
            } else if is_portuguese_laughter(word) {
                scores[PT] += 1.0;
            } else if word.len() >= SHORTEST_WORD_WITH_ENDING && word.is_ascii() {
                let longest =
                    (2..=5).rev().find_map(|length| self.endings.get(&word.as_bytes()[word.len() - length..]));
                if let Some(weights) = longest {
                    add(scores, weights, 1.0);
                }
            }
        }
        words
    }
}

fn add(scores: &mut Weights, weights: &Weights, factor: f32) {
    for (score, weight) in scores.iter_mut().zip(weights) {
        *score += weight * factor;
    }
}

/// `amooooo` is `amo`, said with feeling: rows of three and more of one letter count once.
fn squeezed(word: &str) -> Option<String> {
    let bytes = word.as_bytes();
    if !bytes.windows(3).any(|three| three[0] == three[1] && three[1] == three[2]) {
        return None;
    }
    let mut short = word.to_owned();
    let mut previous = None;
    short.retain(|c| previous.replace(c) != Some(c));
    Some(short)
}

/// `kkkkk`, with a slip of the finger allowed.
fn is_portuguese_laughter(word: &str) -> bool {
    word.len() >= 4 && word.bytes().filter(|byte| *byte == b'k').count() + 1 >= word.len()
}

fn is_word(word: &str) -> bool {
    word.as_bytes().first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte >= 0x80)
}

fn weigh(lists: &BTreeMap<String, String>, weight: f32) -> HashMap<Box<[u8]>, Weights, BuildHasherDefault<WordHasher>> {
    let mut owners: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut folded = Folded::default();
    for (language, list) in lists {
        let Some(index) = index_of(language).filter(|index| *index < LATIN) else { continue };
        for word in list.split_whitespace() {
            folded.fold("", word);
            let word = folded.as_str().trim().to_owned();
            let languages = owners.entry(word).or_default();
            if !languages.contains(&index) {
                languages.push(index);
            }
        }
    }
    let weigh_one = |(word, languages): (String, Vec<usize>)| {
        let mut weights = [0.0; LATIN];
        for index in &languages {
            let alone = if languages.len() == 1 && *index == HI { ROMANISED_HINDI } else { 1.0 };
            weights[*index] = weight * share(languages.len()) * alone;
        }
        (word.into_bytes().into_boxed_slice(), weights)
    };
    owners.into_iter().map(weigh_one).collect()
}

/// Letters that only some languages use.
fn add_letters(marks: &Marks, scores: &mut Weights) {
    let few = |count: u32| count.min(4) as f32;
    let (it, pt, es, fr, de, pl, tr) = (1, 2, 3, 4, 5, 7, 8);
    scores[es] += 1.5 * few(marks.spanish);
    scores[pt] += 1.5 * few(marks.portuguese);
    scores[de] += 1.2 * few(marks.german);
    scores[tr] += 1.5 * few(marks.turkish) + 0.3 * few(marks.german);
    scores[pl] += 1.5 * few(marks.polish);
    scores[fr] += 0.6 * few(marks.french) + 0.4 * few(marks.cedilla) + 0.15 * few(marks.acute);
    scores[it] += 0.8 * few(marks.italian);
    scores[pt] += 0.5 * few(marks.cedilla) + 0.3 * few(marks.acute);
    scores[tr] += 0.3 * few(marks.cedilla);
    scores[es] += 0.4 * few(marks.acute);
}

fn by_script(marks: &Marks, subject: &Marks) -> Option<Detected> {
    let sum = |count: fn(&Marks) -> u32| (count(marks) + count(subject)) as f32;
    let (han, kana) = (sum(|m| m.han), sum(|m| m.kana));
    let (hangul, arabic) = (sum(|m| m.hangul), sum(|m| m.arabic));
    let (devanagari, cyrillic) = (sum(|m| m.devanagari), sum(|m| m.cyrillic));
    let latin = (sum(|m| m.letters) - hangul - arabic - devanagari - cyrillic).max(0.0);
    // A Chinese or Japanese character says as much as three letters.
    let dense = (han + kana) * 3.0;
    let all = latin + dense + hangul * 2.0 + arabic + devanagari + cyrillic;
    if all == 0.0 {
        return None;
    }
    let found = |language: usize, letters: f32| {
        let confidence = letters / all;
        // Names and brands in Latin letters are common in every script.
        (confidence >= 0.3).then_some(Detected { language: LANGUAGES[language], confidence })
    };
    let japanese = kana * 8.0 >= han && kana > 0.0;
    found(if japanese { JA } else { ZH }, dense)
        .or_else(|| found(KO, hangul * 2.0))
        .or_else(|| found(AR, arabic))
        .or_else(|| found(HI, devanagari))
        .or_else(|| found(RU, cyrillic))
}

fn prior(hint: Option<&str>, brand: &[String]) -> Detected {
    let stated = hint.and_then(index_of);
    if let Some(index) = stated {
        return Detected { language: LANGUAGES[index], confidence: 0.4 };
    }
    match brand.first().and_then(|language| index_of(language)) {
        Some(index) => Detected { language: LANGUAGES[index], confidence: 0.2 },
        None => Detected { language: "und", confidence: 0.0 },
    }
}

fn best_two(scores: &Weights) -> (usize, usize) {
    let mut order = [EN, 1];
    if scores[1] > scores[EN] {
        order = [1, EN];
    }
    for index in 2..LATIN {
        if scores[index] > scores[order[0]] {
            order = [index, order[0]];
        } else if scores[index] > scores[order[1]] {
            order[1] = index;
        }
    }
    (order[0], order[1])
}

/// The language of a BCP 47 tag, its region and script left aside.
fn index_of(tag: &str) -> Option<usize> {
    let primary = tag.split(['-', '_']).next().unwrap_or(tag);
    LANGUAGES.iter().position(|language| primary.eq_ignore_ascii_case(language))
}

fn tag_of(language: whichlang::Lang) -> &'static str {
    use whichlang::Lang;
    match language {
        Lang::Deu => "de",
        Lang::Eng => "en",
        Lang::Fra => "fr",
        Lang::Hin => "hi",
        Lang::Ita => "it",
        Lang::Nld => "nl",
        Lang::Por => "pt",
        Lang::Spa => "es",
        Lang::Tur => "tr",
        _ => "und",
    }
}

fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A fast hash that gives the same order of nothing: it is only ever asked for single words.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.0 = (self.0.rotate_left(5) ^ value as u64).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

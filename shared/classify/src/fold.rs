//! One pass over the text as it came, giving the text as patterns see it.
//!
//! The folded text is a row of words, each between two single spaces: lower case, without accents, without the
//! difference between wide and narrow forms. A mark that ends a clause or a sentence stands as a word of its own. Scripts
//! that put no space between words (Chinese, Japanese, Thai) stay as they are. So a pattern with its spaces needs no test
//! for word boundaries, and a lexicon is folded by the same code as the texts.
//!
//! Each folded byte remembers the character it comes from, so that evidence points into the original.

use crate::letters::{
    fold_kana, fold_latin, fold_other, is_combining, is_dependent_sign, is_invisible, is_symbol, is_unspaced, narrow,
};
use crate::marks::Marks;
use outcry_domain::classification::Field;

/// The folded text and the way back.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    text: String,
    origin: Vec<u32>,
    text_starts_at: usize,
    pub marks: Marks,
    pub subject_marks: Marks,
}

impl Folded {
    /// Folds a subject and a text, forgetting what was here before.
    pub fn fold(&mut self, subject: &str, text: &str) {
        self.text.clear();
        self.origin.clear();
        self.push(' ', 0);
        let marks = Folder::new(self, subject).run();
        self.subject_marks = marks;
        if !subject.is_empty() {
            self.end_word(0);
            self.push('\n', 0);
            self.push(' ', 0);
        }
        self.text_starts_at = self.text.len();
        self.marks = Folder::new(self, text).run();
        self.end_word(u32::MAX);
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// First byte of the text; what stands before it is the subject.
    pub fn text_starts_at(&self) -> usize {
        self.text_starts_at
    }

    /// The field and the characters of the original that these folded bytes come from.
    pub fn origin(&self, start: usize, end: usize) -> (Field, u32, u32) {
        let field = if start < self.text_starts_at { Field::Subject } else { Field::Text };
        let first = self.origin.get(start).copied().unwrap_or(0);
        let last = self.origin.get(end.saturating_sub(1)).copied().unwrap_or(first);
        (field, first, last.max(first).saturating_add(1))
    }

    fn push(&mut self, c: char, from: u32) {
        self.text.push(c);
        for _ in 0..c.len_utf8() {
            self.origin.push(from);
        }
    }

    fn ends_with_space(&self) -> bool {
        self.text.as_bytes().last() == Some(&b' ')
    }

    fn end_word(&mut self, from: u32) {
        if !self.ends_with_space() {
            self.push(' ', from);
        }
    }
}

/// How a character is written: decides where words begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// A space or a mark came last.
    None,
    Spaced,
    Unspaced,
}

struct Folder<'a> {
    out: &'a mut Folded,
    source: &'a str,
    marks: Marks,
    previous: Script,
    previous_lower: bool,
    in_hashtag: bool,
    word_letters: u32,
    word_capitals: u32,
}

impl<'a> Folder<'a> {
    fn new(out: &'a mut Folded, source: &'a str) -> Self {
        Self {
            out,
            source,
            marks: Marks::default(),
            previous: Script::None,
            previous_lower: false,
            in_hashtag: false,
            word_letters: 0,
            word_capitals: 0,
        }
    }

    fn run(mut self) -> Marks {
        let mut position: u32 = 0;
        let mut skip_to = 0;
        let mut newlines = 0;
        for (at, c) in self.source.char_indices() {
            let here = position;
            position = position.saturating_add(1);
            if at < skip_to {
                continue;
            }
            if c == '\n' {
                newlines += 1;
                self.boundary(here);
                if newlines == 2 {
                    self.clause_mark('\n', here);
                }
                continue;
            }
            if !c.is_whitespace() {
                newlines = 0;
            }
            if c.is_ascii_alphanumeric() {
                if (c == 'h' || c == 'H') && self.previous == Script::None && is_link(&self.source[at..]) {
                    skip_to = at + self.source[at..].find(char::is_whitespace).unwrap_or(self.source.len() - at);
                    self.marks.links += 1;
                    continue;
                }
                self.ascii_word_character(c, here);
            } else if c.is_ascii() {
                skip_to = self.ascii_mark(c, at, here);
            } else {
                skip_to = self.beyond_ascii(c, at, here);
            }
        }
        self.close_word();
        self.marks
    }

    fn ascii_word_character(&mut self, c: char, here: u32) {
        let upper = c.is_ascii_uppercase();
        if self.previous == Script::Unspaced || (self.in_hashtag && upper && self.previous_lower) {
            self.out.end_word(here);
        }
        if c.is_ascii_alphabetic() {
            self.count_letter(upper);
        }
        self.previous_lower = c.is_ascii_lowercase();
        self.previous = Script::Spaced;
        self.out.push(c.to_ascii_lowercase(), here);
    }

    fn count_letter(&mut self, upper: bool) {
        self.marks.letters += 1;
        self.word_letters += 1;
        if upper {
            self.marks.capitals += 1;
            self.word_capitals += 1;
        }
    }

    /// Handles a mark and says up to which byte the source is now used up.
    fn ascii_mark(&mut self, c: char, at: usize, here: u32) -> usize {
        let bytes = self.source.as_bytes();
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        let done = at + 1;
        match c {
            '\'' | '`' => self.apostrophe(at + 1, here),
            '.' | ',' | ':' => {
                if c == ':'
                    && let Some((face, length)) = emoticon(&bytes[at..])
                {
                    self.symbol(face, here);
                    return at + length;
                }
                let inside = next.is_ascii_alphanumeric() && self.previous == Script::Spaced && c != ',';
                let in_number = next.is_ascii_digit() && self.previous == Script::Spaced;
                if inside || in_number { self.boundary(here) } else { self.clause_mark(c, here) }
            }
            '!' => {
                self.marks.exclamation_marks += 1;
                self.clause_mark('!', here);
            }
            '?' => {
                self.marks.question_marks += 1;
                self.clause_mark('?', here);
            }
            ';' => self.clause_mark(',', here),
            '@' if self.previous == Script::None && next.is_ascii_alphanumeric() => {
                self.marks.mentions += 1;
                self.out.push('@', here);
                self.previous = Script::Spaced;
            }
            '#' => {
                self.boundary(here);
                self.in_hashtag = true;
            }
            _ => self.boundary(here),
        }
        done
    }

    /// `doesn't` is one word, `l'ordine` is two.
    fn apostrophe(&mut self, next: usize, here: u32) {
        if self.previous != Script::Spaced || !is_contraction(&self.source.as_bytes()[next.min(self.source.len())..]) {
            self.boundary(here);
        }
    }

    fn boundary(&mut self, here: u32) {
        self.close_word();
        self.previous = Script::None;
        self.in_hashtag = false;
        self.out.end_word(here);
    }

    fn clause_mark(&mut self, mark: char, here: u32) {
        self.boundary(here);
        // A row of the same marks counts once: "!!!!" is one end of one sentence.
        let text = self.out.text.as_bytes();
        let repeated = text.len() >= 2 && text[text.len() - 2] == mark as u8;
        if !repeated {
            self.out.push(mark, here);
            self.out.push(' ', here);
        }
    }

    fn symbol(&mut self, symbol: char, here: u32) {
        self.boundary(here);
        let repeated = self.out.text.trim_end_matches(' ').ends_with(symbol);
        if !repeated {
            self.out.push(symbol, here);
            self.out.push(' ', here);
        }
    }

    fn close_word(&mut self) {
        if self.word_letters >= 3 && self.word_capitals == self.word_letters {
            self.marks.shouted_words += 1;
        }
        self.word_letters = 0;
        self.word_capitals = 0;
        self.previous_lower = false;
    }

    fn beyond_ascii(&mut self, c: char, at: usize, here: u32) -> usize {
        let done = at + c.len_utf8();
        if is_invisible(c) {
            return done;
        }
        match c {
            '\u{2019}' | '\u{2018}' | '\u{02BC}' | '\u{00B4}' | '\u{FF07}' => {
                self.apostrophe(done, here);
                return done;
            }
            '。' | '．' | '｡' | '।' | '۔' | '…' => {
                self.clause_mark('.', here);
                return done;
            }
            '、' | '，' | '､' | '；' | '：' | '،' | '؛' => {
                self.clause_mark(',', here);
                return done;
            }
            '！' | '¡' => {
                self.marks.exclamation_marks += 1;
                self.marks.spanish += u32::from(c == '¡');
                self.clause_mark('!', here);
                return done;
            }
            '？' | '؟' => {
                self.marks.question_marks += 1;
                self.clause_mark('?', here);
                return done;
            }
            '¿' => {
                self.marks.spanish += 1;
                self.boundary(here);
                return done;
            }
            '#' | '＃' => {
                self.boundary(here);
                self.in_hashtag = true;
                return done;
            }
            _ => {}
        }
        if is_symbol(c) {
            self.symbol(c, here);
            return done;
        }
        if let Some(wide) = narrow(c) {
            if wide.is_ascii_alphanumeric() {
                self.ascii_word_character(wide, here);
            } else {
                self.boundary(here);
            }
            return done;
        }
        if is_combining(c) {
            return done;
        }
        if !c.is_alphanumeric() && !is_dependent_sign(c) {
            self.boundary(here);
            return done;
        }
        self.word_character(c, at, here)
    }

    fn word_character(&mut self, c: char, at: usize, here: u32) -> usize {
        let done = at + c.len_utf8();
        let script = if is_unspaced(c) { Script::Unspaced } else { Script::Spaced };
        if self.previous != Script::None && self.previous != script {
            self.out.end_word(here);
        }
        self.previous = script;
        self.marks.count_script(c);
        if script == Script::Unspaced {
            let (folded, length) = fold_kana(c, &self.source[done..]);
            self.out.push(folded, here);
            return done + length;
        }
        let upper = c.is_uppercase();
        self.count_letter(upper);
        self.previous_lower = !upper;
        match fold_latin(c).or_else(|| fold_other(c)) {
            Some(folded) => {
                for part in folded.chars() {
                    self.out.push(part, here);
                }
            }
            None => {
                for lower in c.to_lowercase() {
                    self.out.push(lower, here);
                }
            }
        }
        done
    }
}

fn is_link(rest: &str) -> bool {
    let rest = rest.as_bytes();
    let starts = |prefix: &[u8]| rest.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    starts(b"http://") || starts(b"https://")
}

/// What follows the apostrophe in `don't`, `it's`, `I'm`, `I'd`, `we're`, `I've`, `we'll`.
fn is_contraction(rest: &[u8]) -> bool {
    let letter = |at: usize| rest.get(at).map_or(0, u8::to_ascii_lowercase);
    let ends_at = match (letter(0), letter(1)) {
        (b'r' | b'v', b'e') | (b'l', b'l') => 2,
        (b't' | b's' | b'm' | b'd', _) => 1,
        _ => return false,
    };
    rest.get(ends_at).is_none_or(|next| next.is_ascii() && !next.is_ascii_alphanumeric())
}

fn emoticon(rest: &[u8]) -> Option<(char, usize)> {
    let nose = usize::from(matches!(rest.get(1), Some(b'-' | b'\'')));
    match rest.get(1 + nose)? {
        b')' | b'D' | b']' => Some(('🙂', 2 + nose)),
        b'(' | b'/' | b'[' if rest.get(2 + nose) != Some(&b'/') => Some(('🙁', 2 + nose)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut out = Folded::default();
        out.fold("", text);
        out.text
    }

    #[test]
    fn words_stand_between_single_spaces() {
        assert_eq!(folded("Hello,   WORLD!!! Ça va?"), " hello , world ! ca va ? ");
        assert_eq!(folded(""), " ");
        assert_eq!(folded("\0\u{7f}😀😀"), " 😀 ");
    }

    #[test]
    fn contractions_are_one_word_and_elisions_two() {
        assert_eq!(folded("It doesn’t work, we're"), " it doesnt work , were ");
        assert_eq!(folded("l'ordine non c'è"), " l ordine non c e ");
        assert_eq!(folded("d'accord, j'ai"), " d accord , j ai ");
    }

    #[test]
    fn scripts_without_spaces_stay_whole_and_wide_forms_become_narrow() {
        assert_eq!(folded("返金がまだです。ＡＢＣ１２３"), " 返金がまだです . abc123 ");
        assert_eq!(folded("ｶﾞｽ漏れ"), " ガス漏れ ");
        assert_eq!(folded("LINEが届かない"), " line が届かない ");
    }

    #[test]
    fn links_vanish_and_handles_keep_their_sign() {
        assert_eq!(folded("@united see https://t.co/abc now"), " @united see now ");
        assert_eq!(folded("#WorstAirlineEver"), " worst airline ever ");
    }

    #[test]
    fn numbers_keep_together_what_a_comma_does_not_end() {
        assert_eq!(folded("3.5 or 1,200, yes."), " 3 5 or 1 200 , yes . ");
    }

    #[test]
    fn a_span_leads_back_to_the_characters_it_came_from() {
        let mut out = Folded::default();
        let original = "Straße — überhöhter   BETRAG";
        out.fold("", original);
        let at = out.text.find("betrag").unwrap();
        let (field, start, end) = out.origin(at, at + "betrag".len());
        let back: String = original.chars().skip(start as usize).take((end - start) as usize).collect();
        assert_eq!((field, back.as_str()), (Field::Text, "BETRAG"));
        let at = out.text.find("strasse").unwrap();
        assert_eq!(out.origin(at, at + 7), (Field::Text, 0, 6));
    }

    #[test]
    fn the_subject_is_told_from_the_text() {
        let mut out = Folded::default();
        out.fold("Fire", "in my kitchen");
        let at = out.text.find("fire").unwrap();
        assert_eq!(out.origin(at, at + 4), (Field::Subject, 0, 4));
        let at = out.text.find("kitchen").unwrap();
        assert_eq!(out.origin(at, at + 7), (Field::Text, 6, 13));
    }

    #[test]
    fn shouting_is_counted_by_words() {
        let mut out = Folded::default();
        out.fold("", "THIS IS A DISGRACE, ok");
        assert_eq!(out.marks.shouted_words, 2);
        assert_eq!(out.marks.capitals, 15);
    }
}

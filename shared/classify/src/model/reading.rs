//! A text as a model reads it: lower-case characters, one space between words, and where each of them stood.

/// Of a run of one character so many are kept: "sooooo" is "sooo", and a megabyte of one letter is three letters.
const LONGEST_RUN: usize = 3;
/// A longer stretch without a space is not a word that comes again: encoded data, mostly.
const LONGEST_CHUNK: usize = 64;

/// What stands for a link, whichever it is.
const LINK: char = '\u{1}';

/// A word, as a range of [`Reading::characters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub start: u32,
    pub end: u32,
}

/// Room that is used again from text to text.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Begins and ends with a space; no two spaces meet.
    pub characters: Vec<char>,
    /// For each of `characters`: the character of the source it came from. A space has that of the character before.
    pub origins: Vec<u32>,
    /// Words and signs in order.
    pub words: Vec<Word>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Nothing,
    Word,
    Apostrophe,
    Sign,
}

impl Reading {
    /// Reads subject and text as one, a line each; origins count the characters of the subject, one line break, and
    /// those of the text.
    pub(crate) fn read(&mut self, subject: &str, text: &str) {
        self.characters.clear();
        self.origins.clear();
        self.words.clear();
        self.push(' ', 0);
        let mut at = 0;
        if !subject.is_empty() {
            at = self.read_part(subject, 0) + 1;
            self.space(at.saturating_sub(1));
        }
        let end = self.read_part(text, at);
        self.space(end);
    }

    fn read_part(&mut self, part: &str, first: u32) -> u32 {
        let mut at = first;
        let mut rest = part.chars();
        let mut run = 0;
        let mut previous = '\0';
        let mut chunk = 0;
        let mut word_open = false;
        while let Some(c) = rest.next() {
            let here = at;
            at += 1;
            let class = class_of(c);
            match class {
                Class::Nothing => continue,
                Class::Space => {
                    self.space(here);
                    (run, previous, chunk, word_open) = (0, '\0', 0, false);
                    continue;
                }
                _ => {}
            }
            if chunk == 0
                && matches!(c, 'h' | 'H' | 'w' | 'W')
                && let Some(length) = link_length(c, rest.as_str())
            {
                self.words.push(Word { start: self.length(), end: self.length() + 1 });
                self.push(LINK, here);
                at += rest.by_ref().take(length).count() as u32;
                (run, previous, chunk, word_open) = (0, '\0', 1, false);
                continue;
            }
            chunk += 1;
            if chunk > LONGEST_CHUNK {
                // Cut, so that scripts without spaces are still read to their end.
                self.space(here);
                (chunk, word_open) = (1, false);
            }
            run = if c == previous { run + 1 } else { 1 };
            previous = c;
            if run > LONGEST_RUN {
                continue;
            }
            match class {
                Class::Word => {
                    let marks_word = !word_open
                        && chunk == 2
                        && matches!(self.characters.last(), Some('#' | '@'))
                        && self.words.last().is_some_and(|word| word.end == self.length());
                    if !word_open && !marks_word {
                        self.words.push(Word { start: self.length(), end: self.length() });
                    }
                    word_open = true;
                    self.push_lower(c, here);
                    let end = self.length();
                    if let Some(word) = self.words.last_mut() {
                        word.end = end;
                    }
                }
                Class::Apostrophe
                    if word_open && rest.clone().next().is_some_and(|next| class_of(next) == Class::Word) =>
                {
                    self.push('\'', here);
                }
                _ => {
                    let sign = if class == Class::Apostrophe { '\'' } else { c };
                    word_open = false;
                    if run == 1 {
                        self.words.push(Word { start: self.length(), end: self.length() + 1 });
                    }
                    self.push(sign, here);
                }
            }
        }
        at
    }

    fn push_lower(&mut self, c: char, here: u32) {
        if c.is_ascii() {
            self.push(c.to_ascii_lowercase(), here);
        } else {
            for lower in c.to_lowercase() {
                self.push(lower, here);
            }
        }
    }

    fn push(&mut self, c: char, here: u32) {
        self.characters.push(c);
        self.origins.push(here);
    }

    fn space(&mut self, here: u32) {
        if self.characters.last() != Some(&' ') {
            self.push(' ', here);
        }
    }

    fn length(&self) -> u32 {
        self.characters.len() as u32
    }
}

fn class_of(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => Class::Word,
        ' ' | '\n' | '\t' | '\r' => Class::Space,
        '\'' | '\u{2019}' | '\u{2018}' | '\u{2BC}' => Class::Apostrophe,
        _ if c.is_ascii() => {
            if c.is_ascii_control() {
                Class::Space
            } else {
                Class::Sign
            }
        }
        _ if c.is_alphanumeric() => Class::Word,
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}'
        | '\u{fe0e}'
        | '\u{fe0f}'
        | '\u{ad}' => Class::Nothing,
        _ if c.is_whitespace() || c.is_control() => Class::Space,
        _ if is_mark(c) => Class::Word,
        _ => Class::Sign,
    }
}

/// Vowel signs and accents that are written as characters of their own, and belong to the word they stand in.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}' | '\u{3099}'..='\u{309a}')
}

/// For a link that begins with `first`: the number of characters that follow it.
fn link_length(first: char, rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let begins = |prefix: &[u8]| bytes.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    let is_link = match first {
        'h' | 'H' => begins(b"ttp://") || begins(b"ttps://"),
        _ => begins(b"ww."),
    };
    is_link.then(|| rest.chars().take_while(|c| !c.is_whitespace()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let mut reading = Reading::default();
        reading.read("", text);
        let word = |word: &Word| reading.characters[word.start as usize..word.end as usize].iter().collect();
        (reading.characters.iter().collect(), reading.words.iter().map(word).collect())
    }

    #[test]
    fn words_and_signs_stand_apart_and_letters_are_small() {
        let (characters, words) = read("It DOESN’T work, @Acme!!! #Fail");
        assert_eq!(characters, " it doesn't work, @acme!!! #fail ");
        assert_eq!(words, ["it", "doesn't", "work", ",", "@acme", "!", "#fail"]);
    }

    #[test]
    fn links_and_long_runs_are_cut_short() {
        let (characters, words) = read("soooooo bad https://example.com/x?y=1 ok");
        assert_eq!(characters, " sooo bad \u{1} ok ");
        assert_eq!(words.len(), 4);
        assert_eq!(read(&"a".repeat(1 << 20)).0, " aaa ");
        let long: String = ('a'..='z').cycle().take(1000).collect();
        assert!(read(&long).1.iter().all(|word| word.len() <= LONGEST_CHUNK));
    }

    #[test]
    fn every_character_knows_where_it_came_from() {
        let (subject, text) = ("İade!", "Parasını  geri verin\u{200d}, lütfen");
        let mut reading = Reading::default();
        reading.read(subject, text);
        let source: Vec<char> = format!("{subject}\n{text}").chars().collect();
        for (c, origin) in reading.characters.iter().zip(&reading.origins).filter(|(c, _)| **c != ' ') {
            let lower: Vec<char> = source[*origin as usize].to_lowercase().collect();
            assert!(lower.contains(c), "{c} {origin}");
        }
        assert_eq!(reading.words.len(), 7);
    }

    #[test]
    fn nothing_is_read_as_nothing() {
        for text in ["", " ", "\0\u{7}", "\u{200d}\u{200d}"] {
            assert_eq!(read(text), (" ".to_owned(), Vec::new()), "{text:?}");
        }
    }
}

//! Header fields: unfolding, encoded words (RFC 2047), Message-IDs.

use super::{
    address::{self, Mailbox},
    charset, mime, transfer,
};
use std::borrow::Cow;

/// How many addresses and ids of one field are kept; spam lists thousands.
pub(super) const MAX_ENTRIES: usize = 200;

/// The longest header value that is looked at.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Fields beyond this many are not looked at.
pub(super) const MAX_FIELDS: usize = 2_000;

/// The fields of one message's (or part's) header, in order, as raw bytes.
pub(super) struct Fields<'x> {
    fields: Vec<(&'x str, &'x [u8])>,
    /// Charset of bytes that are not encoded although they should be.
    hint: Option<String>,
}

impl<'x> Fields<'x> {
    /// Of a header.
    pub fn of(header: &'x [u8], hint: Option<&str>) -> Self {
        let fields = mime::fields(header)
            .take(MAX_FIELDS)
            .filter_map(|(name, value)| {
                Some((std::str::from_utf8(name).ok()?, value.get(..MAX_VALUE_BYTES).unwrap_or(value)))
            })
            .collect();
        Self { fields, hint: hint.map(str::to_owned) }
    }

    /// Values of every field of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'x [u8]> + 'a {
        self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Value of the first field of that name that is not blank.
    pub fn first(&self, name: &str) -> Option<&'x [u8]> {
        self.all(name).find(|value| !value.trim_ascii().is_empty())
    }

    /// Readable text of the first such field.
    pub fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| decode_text(value, self.hint.as_deref())).filter(|text| !text.is_empty())
    }

    /// Lower-case text of the first such field, for comparing keywords.
    pub fn keyword(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| String::from_utf8_lossy(value).trim().to_ascii_lowercase())
    }

    pub fn mailboxes(&self, name: &str) -> Vec<Mailbox> {
        self.all(name)
            .flat_map(|value| address::parse_mailboxes(value, self.hint.as_deref()))
            .take(MAX_ENTRIES)
            .collect()
    }

    pub fn ids(&self, name: &str) -> Vec<String> {
        let mut ids: Vec<String> = self.all(name).flat_map(parse_ids).collect();
        if ids.len() > MAX_ENTRIES {
            // The root and the nearest ancestors say all there is to say.
            ids.drain(1..ids.len() - (MAX_ENTRIES - 1));
        }
        ids
    }
}

/// Readable text of a header value: unfolded, encoded words decoded, stray bytes repaired, one line.
pub(super) fn decode_text(value: &[u8], hint: Option<&str>) -> String {
    let text = unicode(value, hint);
    let decoded = decode_encoded_words(&text);
    let mut line = String::with_capacity(decoded.len());
    for character in decoded.trim().chars() {
        match character {
            '\r' | '\0' => {}
            '\n' | '\t' => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            ' ' if line.ends_with(' ') => {}
            other => line.push(other),
        }
    }
    line
}

pub(super) fn unicode<'x>(value: &'x [u8], hint: Option<&str>) -> Cow<'x, str> {
    match std::str::from_utf8(value) {
        Ok(text) if !value.contains(&0x1b) => Cow::Borrowed(text),
        _ => Cow::Owned(charset::decode_header(value, hint)),
    }
}

pub(super) struct EncodedWord {
    charset: String,
    bytes: Vec<u8>,
    /// Bytes that it takes.
    pub length: usize,
}

/// Decodes RFC 2047 encoded words. Neighbours of one charset are joined before decoding, because software cuts
/// characters in two between them.
pub(super) fn decode_encoded_words(text: &str) -> String {
    if !text.contains("=?") {
        return text.to_owned();
    }
    let mut output = String::with_capacity(text.len());
    let mut pending: Option<(String, Vec<u8>)> = None;
    let mut rest = text;
    while let Some(start) = rest.find("=?") {
        let (before, candidate) = rest.split_at(start);
        let Some(word) = encoded_word(candidate) else {
            flush(&mut pending, &mut output);
            output.push_str(before);
            output.push_str("=?");
            rest = candidate.get(2..).unwrap_or_default();
            continue;
        };
        // White space between two encoded words is not text.
        if pending.is_none() || !before.trim().is_empty() {
            flush(&mut pending, &mut output);
            output.push_str(before);
        }
        match &mut pending {
            Some((charset, bytes)) if charset.eq_ignore_ascii_case(&word.charset) => bytes.extend(word.bytes),
            _ => {
                flush(&mut pending, &mut output);
                pending = Some((word.charset, word.bytes));
            }
        }
        rest = candidate.get(word.length..).unwrap_or_default();
    }
    flush(&mut pending, &mut output);
    output.push_str(rest);
    output
}

fn flush(pending: &mut Option<(String, Vec<u8>)>, output: &mut String) {
    if let Some((charset, bytes)) = pending.take() {
        output.push_str(&charset::decode(&bytes, Some(&charset), false).text);
    }
}

/// `=?charset*language?encoding?text?=` at the start of `candidate`. Spaces inside, which the RFC forbids, are common.
pub(super) fn encoded_word(candidate: &str) -> Option<EncodedWord> {
    let inner = candidate.strip_prefix("=?")?;
    let (charset, inner) = inner.split_once('?')?;
    let (encoding, inner) = inner.split_once('?')?;
    if charset.is_empty() || charset.len() > 64 || charset.contains(char::is_whitespace) || encoding.len() != 1 {
        return None;
    }
    let quoted = encoding.eq_ignore_ascii_case("q");
    let (end, closed) = match word_end(inner, quoted) {
        Some(end) => (end, 2),
        // Cut off at the end of the field; "=?" and blanks after it would be another text.
        None if !inner.trim_end().contains(char::is_whitespace) && inner.len() >= 2 => (inner.trim_end().len(), 0),
        None => return None,
    };
    let data = inner.get(..end)?;
    if data.len() > 8192 {
        return None;
    }
    let bytes = match encoding {
        "q" | "Q" => decode_q(data.as_bytes()),
        "b" | "B" => transfer::base64(data.as_bytes()).0,
        _ => return None,
    };
    let charset = charset.split('*').next().unwrap_or(charset).to_owned();
    Some(EncodedWord { length: candidate.len() - inner.len() + end + closed, charset, bytes })
}

/// Where the text of an encoded word ends. In Q text "?=" before two hexadecimal digits may be a bare question mark and
/// an encoded byte, if the word ends later.
fn word_end(inner: &str, quoted: bool) -> Option<usize> {
    let end = inner.find("?=")?;
    let digits = inner.as_bytes().get(end + 2..end + 4).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if quoted && digits {
        let rest = inner.get(end + 2..)?;
        let later = rest.find("?=")?;
        if !rest.get(..later)?.contains([' ', '\n', '=']) || rest.get(..later)?.contains("=3F") {
            return Some(end + 2 + later);
        }
    }
    Some(end)
}

fn hexadecimal(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn decode_q(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len());
    let mut position = 0;
    while let Some(byte) = data.get(position) {
        position += 1;
        match byte {
            b'_' => bytes.push(b' '),
            b'=' => match (
                data.get(position).copied().and_then(hexadecimal),
                data.get(position + 1).copied().and_then(hexadecimal),
            ) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    position += 2;
                }
                _ => bytes.push(b'='),
            },
            b'\r' | b'\n' => {}
            other => bytes.push(*other),
        }
    }
    bytes
}

/// Message-IDs without their angle brackets. Words around them, as in `In-Reply-To: Your message of …`, are passed over.
fn parse_ids(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let mut ids = Vec::new();
    let mut rest = text.as_ref();
    while let Some((_, after)) = rest.split_once('<') {
        let Some((id, after)) = after.split_once('>') else {
            break;
        };
        ids.extend(clean_id(id));
        rest = after;
    }
    if ids.is_empty() && !text.contains('<') {
        ids.extend(text.split_whitespace().filter(|word| word.contains('@')).filter_map(clean_id));
        let alone = text.trim();
        if ids.is_empty() && !alone.contains(char::is_whitespace) {
            ids.extend(clean_id(alone));
        }
    }
    ids
}

fn clean_id(id: &str) -> Option<String> {
    let id: String = id.chars().filter(|c| !c.is_whitespace() && !c.is_control() && *c != '<').take(998).collect();
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_between_two_encoded_words_is_whole() {
        // "é" is C3 A9; the first word ends after C3.
        assert_eq!(decode_text(b"=?utf-8?Q?R=C3?=\r\n =?UTF-8?Q?=A9clamation?=", None), "Réclamation");
    }

    #[test]
    fn space_between_encoded_words_goes_and_beside_plain_words_stays() {
        assert_eq!(decode_text(b"=?utf-8?q?a?= =?iso-8859-1?q?=FC?= b =?utf-8?q?c?=", None), "aü b c");
    }

    #[test]
    fn what_only_looks_like_an_encoded_word_is_text() {
        for text in ["=?", "=?x?y?z", "a =? b ?= c", "=?utf-8?x?abc?="] {
            assert_eq!(decode_text(text.as_bytes(), None), text);
        }
    }

    #[test]
    fn ids_are_found_among_words() {
        assert_eq!(parse_ids(b"Your message of \"Mon\" <a@x>\r\n <b@\r\n y>"), ["a@x", "b@y"]);
        assert_eq!(parse_ids(b"c@z"), ["c@z"]);
        assert!(parse_ids(b"Your message of yesterday").is_empty());
    }
}

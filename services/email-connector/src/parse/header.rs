//! Header fields: unfolding, encoded words (RFC 2047), addresses, Message-IDs, dates.

use super::charset;
use mail_parser::{Address, DateTime, HeaderValue, Message, parsers::MessageStream};
use outcry_domain::{Timestamp, customer::normalise_email};

/// How many addresses and ids of one field are kept; spam lists thousands.
const MAX_ENTRIES: usize = 200;

/// The longest header value that is looked at.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// One person or machine in an address field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// Normalised, always with an `@`.
    pub address: String,
    pub name: Option<String>,
}

/// The fields of one message's (or part's) header, in order, as raw bytes.
pub(super) struct Fields<'x> {
    fields: Vec<(&'x str, &'x [u8])>,
}

impl<'x> Fields<'x> {
    /// Of a message's outermost header.
    pub fn of(message: &'x Message<'_>) -> Self {
        let fields = message
            .headers()
            .iter()
            .filter_map(|header| {
                let value = message.raw_message.get(header.offset_start as usize..header.offset_end as usize)?;
                Some((header.name.as_str(), value.get(..MAX_VALUE_BYTES).unwrap_or(value)))
            })
            .collect();
        Self { fields }
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
        self.first(name).map(decode_text).filter(|text| !text.is_empty())
    }

    /// Lower-case text of the first such field, for comparing keywords.
    pub fn keyword(&self, name: &str) -> Option<String> {
        self.first(name).map(|value| String::from_utf8_lossy(value).trim().to_ascii_lowercase())
    }

    pub fn mailboxes(&self, name: &str) -> Vec<Mailbox> {
        self.all(name).flat_map(parse_mailboxes).take(MAX_ENTRIES).collect()
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
pub(super) fn decode_text(value: &[u8]) -> String {
    let text = if value.is_ascii() && !value.contains(&0x1b) {
        String::from_utf8_lossy(value).into_owned()
    } else {
        charset::decode(value, None, false).text
    };
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

struct EncodedWord {
    charset: String,
    bytes: Vec<u8>,
    length: usize,
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
fn encoded_word(candidate: &str) -> Option<EncodedWord> {
    let inner = candidate.strip_prefix("=?")?;
    let (charset, inner) = inner.split_once('?')?;
    let (encoding, inner) = inner.split_once('?')?;
    if charset.is_empty() || charset.len() > 64 || charset.contains(char::is_whitespace) || encoding.len() != 1 {
        return None;
    }
    let end = inner.find("?=")?;
    // In Q text "?=" followed by two hexadecimal digits may be a bare question mark and an encoded byte.
    let data = inner.get(..end)?;
    if data.len() > 8192 {
        return None;
    }
    let bytes = match encoding {
        "q" | "Q" => decode_q(data.as_bytes()),
        "b" | "B" => decode_base64_leniently(data.as_bytes()),
        _ => return None,
    };
    let charset = charset.split('*').next().unwrap_or(charset).to_owned();
    Some(EncodedWord { length: candidate.len() - inner.len() + end + 2, charset, bytes })
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

/// Base64 whatever its padding: bytes outside the alphabet are passed over, an incomplete end is dropped.
pub(super) fn decode_base64_leniently(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len() / 4 * 3 + 3);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in data {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                // Padding ends one run; some software concatenates several.
                (buffer, bits) = (0, 0);
                continue;
            }
            _ => continue,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0x00ff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    bytes
}

/// Stands for the n-th run of encoded words while the addresses around it are parsed: a decoded name may hold commas
/// and quotes, and must not be parsed again. The two characters are of a private-use area.
const PLACEHOLDER: [char; 2] = ['\u{F8F0}', '\u{F8F1}'];

/// The mailboxes of one address field, groups opened. What has no `@` is not an address.
pub(super) fn parse_mailboxes(value: &[u8]) -> Vec<Mailbox> {
    let mut text = if value.is_ascii() {
        String::from_utf8_lossy(value).into_owned()
    } else {
        charset::decode(value, None, false).text
    };
    let mut names = Vec::new();
    if text.contains("=?") {
        text = hide_encoded_words(&text, &mut names);
    }
    text.push('\n');
    let HeaderValue::Address(addresses) = MessageStream::new(text.as_bytes()).parse_address() else {
        return Vec::new();
    };
    let list: Vec<_> = match addresses {
        Address::List(list) => list,
        Address::Group(groups) => groups.into_iter().flat_map(|group| group.addresses).collect(),
    };
    list.into_iter()
        .take(MAX_ENTRIES)
        .filter_map(|entry| {
            let name = entry.name.map(|name| reveal(&name, &names)).filter(|name| !name.is_empty());
            let written = entry.address.map(|address| reveal(&address, &names)).unwrap_or_default();
            match clean_address(&written) {
                Some(address) => Some(Mailbox { address, name }),
                // Some software encodes the address with the name.
                None => name.as_deref().and_then(address_within).map(|address| Mailbox { address, name: None }),
            }
        })
        .collect()
}

fn hide_encoded_words(text: &str, names: &mut Vec<String>) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("=?") {
        let (before, candidate) = rest.split_at(start);
        output.push_str(before);
        let Some(word) = encoded_word(candidate) else {
            output.push_str("=?");
            rest = candidate.get(2..).unwrap_or_default();
            continue;
        };
        let mut end = word.length;
        while let Some(next) = candidate.get(end..) {
            let blank = next.len() - next.trim_start().len();
            match next.get(blank..).and_then(encoded_word) {
                Some(word) => end += blank + word.length,
                None => break,
            }
        }
        output.push(PLACEHOLDER[0]);
        output.push_str(&names.len().to_string());
        output.push(PLACEHOLDER[1]);
        names.push(decode_encoded_words(candidate.get(..end).unwrap_or_default()));
        rest = candidate.get(end..).unwrap_or_default();
    }
    output.push_str(rest);
    output
}

fn reveal(text: &str, names: &[String]) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(PLACEHOLDER[0]) {
        output.push_str(before);
        let (number, after) = after.split_once(PLACEHOLDER[1]).unwrap_or((after, ""));
        if let Some(name) = number.parse::<usize>().ok().and_then(|number| names.get(number)) {
            output.push_str(name);
        }
        rest = after;
    }
    output.push_str(rest);
    output.trim().trim_matches('"').trim().to_owned()
}

/// An address in the form that is compared, if it is one: exactly a local part, an `@` and a domain, no white space.
pub(super) fn clean_address(written: &str) -> Option<String> {
    let written = written.trim().trim_matches(|c: char| matches!(c, '<' | '>' | '\'' | '"' | ',' | ';')).trim();
    let written = written.strip_prefix("mailto:").or_else(|| written.strip_prefix("MAILTO:")).unwrap_or(written);
    let (local, domain) = written.rsplit_once('@')?;
    let sane = !local.is_empty()
        && !domain.is_empty()
        && written.len() <= 320
        && !written.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'));
    sane.then(|| normalise_email(written))
}

/// The first thing within `text` that is an address.
pub(super) fn address_within(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"'))
        .map(|word| word.trim_start_matches("mailto:").trim_end_matches(['.', ':']))
        .filter(|word| word.contains('@'))
        .find_map(clean_address)
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

/// The instant a Date field names; `None` when it cannot be read.
pub(super) fn parse_date(value: &[u8]) -> Option<Timestamp> {
    let text = decode_text(value);
    let mut line = text.clone();
    line.push('\n');
    DateTime::parse_rfc822(&line)
        .filter(is_plausible)
        .or_else(|| parse_leniently(&text))
        .or_else(|| DateTime::parse_rfc3339(&text).filter(is_plausible))
        .map(|date| Timestamp::from_seconds(date.to_timestamp()))
}

fn is_plausible(date: &DateTime) -> bool {
    date.is_valid() && date.year >= 1900
}

/// Dates that RFC 5322 does not allow and people's software sends: `Mon Jan 7 10:00:00 2002`, `7-Jan-02 10:00`, words in
/// any order, a zone by name or none.
fn parse_leniently(text: &str) -> Option<DateTime> {
    let mut date = DateTime::default();
    let (mut day, mut year, mut time) = (None, None, false);
    for word in
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '/' | '(' | ')')).filter(|word| !word.is_empty())
    {
        if word.contains(':') && !time {
            let mut parts =
                word.split(':').map(|part| part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u8>());
            date.hour = parts.next()?.ok()?;
            date.minute = parts.next()?.ok()?;
            date.second = parts.next().and_then(Result::ok).unwrap_or(0);
            time = true;
        } else if time && (word.starts_with('+') || word.starts_with('-')) && word.len() >= 5 {
            date.tz_before_gmt = word.starts_with('-');
            date.tz_hour = word.get(1..3)?.parse().ok()?;
            date.tz_minute = word.get(3..).map(|rest| rest.trim_start_matches(':'))?.get(..2)?.parse().ok()?;
        } else {
            for piece in word.split('-').filter(|piece| !piece.is_empty()) {
                if let Some(month) = month_named(piece) {
                    date.month = month;
                } else if let Ok(number) = piece.parse::<u16>() {
                    match number {
                        1..=31 if day.is_none() => day = u8::try_from(number).ok(),
                        1900..=2299 if year.is_none() => year = Some(number),
                        0..=69 if year.is_none() => year = Some(2000 + number),
                        70..=99 if year.is_none() => year = Some(1900 + number),
                        100..=199 if year.is_none() => year = Some(1900 + number),
                        _ => {}
                    }
                }
            }
        }
    }
    date.day = day?;
    date.year = year?;
    (time && is_plausible(&date)).then_some(date)
}

fn month_named(word: &str) -> Option<u8> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = word.get(..3)?.to_ascii_lowercase();
    MONTHS.iter().position(|month| *month == start).and_then(|index| u8::try_from(index + 1).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_between_two_encoded_words_is_whole() {
        // "é" is C3 A9; the first word ends after C3.
        assert_eq!(decode_text(b"=?utf-8?Q?R=C3?=\r\n =?UTF-8?Q?=A9clamation?="), "Réclamation");
    }

    #[test]
    fn space_between_encoded_words_goes_and_beside_plain_words_stays() {
        assert_eq!(decode_text(b"=?utf-8?q?a?= =?iso-8859-1?q?=FC?= b =?utf-8?q?c?="), "aü b c");
    }

    #[test]
    fn what_only_looks_like_an_encoded_word_is_text() {
        for text in ["=?", "=?x?y?z", "a =? b ?= c", "=?utf-8?x?abc?="] {
            assert_eq!(decode_text(text.as_bytes()), text);
        }
    }

    #[test]
    fn groups_are_opened_and_names_with_commas_stay_whole() {
        let found =
            parse_mailboxes("Team: =?utf-8?q?M=C3=BCller=2C_Ana?= <ana@example.org>, bo@example.org;".as_bytes());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Mailbox { address: "ana@example.org".into(), name: Some("Müller, Ana".into()) });
        assert_eq!(found[1].address, "bo@example.org");
    }

    #[test]
    fn addresses_in_unicode_are_one_with_their_ascii_form() {
        let found = parse_mailboxes("Büro <Info@Bücher.example>".as_bytes());
        assert_eq!(found[0].address, "info@xn--bcher-kva.example");
        assert_eq!(found[0].name.as_deref(), Some("Büro"));
        assert_eq!(parse_mailboxes("用户@例え.example".as_bytes())[0].address, "用户@xn--r8jz45g.example");
    }

    #[test]
    fn an_address_that_is_none_gives_nobody() {
        for value in ["", "undisclosed-recipients:;", "Ana", "<>", "@", "a@", "\u{0}\u{1}"] {
            assert!(parse_mailboxes(value.as_bytes()).is_empty(), "{value:?}");
        }
    }

    #[test]
    fn ids_are_found_among_words() {
        assert_eq!(parse_ids(b"Your message of \"Mon\" <a@x>\r\n <b@\r\n y>"), ["a@x", "b@y"]);
        assert_eq!(parse_ids(b"c@z"), ["c@z"]);
        assert!(parse_ids(b"Your message of yesterday").is_empty());
    }

    #[test]
    fn dates_are_read_however_they_are_written() {
        let expected: Timestamp = "2002-01-07T10:00:00Z".parse().unwrap();
        for text in [
            "Mon, 7 Jan 2002 11:00:00 +0100",
            "7 Jan 2002 10:00 GMT",
            "Mon Jan  7 10:00:00 2002",
            "Mon, 07 Jan 02 10:00:00 +0000 (UTC)",
            "2002-01-07T10:00:00Z",
            "7-Jan-2002 10:00:00 +0000",
            "Mon, 7 Jan 102 10:00:00 GMT",
        ] {
            assert_eq!(parse_date(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "32 Foo 2002 10:00:00", "Mon, 7 Jan 2002"] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
    }
}

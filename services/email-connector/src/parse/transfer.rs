//! Transfer encodings (RFC 2045, 6) undone: base64, quoted-printable, and uuencode from before MIME. Damaged data give what
//! can be read of them, never nothing.

use std::borrow::Cow;

/// What a part's bytes are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    Identity,
    Base64,
    QuotedPrintable,
    Uuencode,
}

impl TransferEncoding {
    /// By the value of Content-Transfer-Encoding; what is unknown is taken as it is.
    pub fn named(value: Option<&[u8]>) -> Self {
        let Some(value) = value else {
            return Self::Identity;
        };
        let word: String = String::from_utf8_lossy(value)
            .split([';', '(', ','])
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match word.as_str() {
            "base64" | "b64" | "xbase64" => Self::Base64,
            "quotedprintable" | "qp" | "quoted" => Self::QuotedPrintable,
            "uuencode" | "xuuencode" | "xuue" | "uue" => Self::Uuencode,
            _ => Self::Identity,
        }
    }

    /// The bytes within.
    pub fn decode<'x>(self, bytes: &'x [u8]) -> Cow<'x, [u8]> {
        match self {
            Self::Identity => Cow::Borrowed(bytes),
            Self::Base64 => Cow::Owned(base64(bytes).0),
            Self::QuotedPrintable => Cow::Owned(quoted_printable(bytes)),
            Self::Uuencode => Cow::Owned(uuencoded(bytes).map(|found| found.bytes).unwrap_or_else(|| bytes.to_vec())),
        }
    }
}

const SKIP: u8 = 0x40;
const PAD: u8 = 0x41;
const ALIEN: u8 = 0x42;

/// What each byte stands for in base64, the URL alphabet included.
const ALPHABET: [u8; 256] = {
    let mut table = [ALIEN; 256];
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut index = 0;
    while index < 64 {
        table[letters[index] as usize] = index as u8;
        index += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table[b'=' as usize] = PAD;
    table[b'\r' as usize] = SKIP;
    table[b'\n' as usize] = SKIP;
    table[b' ' as usize] = SKIP;
    table[b'\t' as usize] = SKIP;
    table
};

/// Decodes base64 whatever its padding, and gives where the data end: lists and gateways append their notices in the clear.
pub(super) fn base64(data: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = Vec::with_capacity(data.len() / 4 * 3 + 3);
    let (mut buffer, mut bits, mut padded) = (0u32, 0u32, false);
    let mut at = 0;
    while at < data.len() {
        let rest = data.get(at..).unwrap_or_default();
        let line = match memchr::memchr(b'\n', rest) {
            Some(end) => rest.get(..=end).unwrap_or(rest),
            None => rest,
        };
        if !bytes.is_empty() && is_prose(line, padded) {
            return (bytes, at);
        }
        for byte in line {
            let value = ALPHABET.get(usize::from(*byte)).copied().unwrap_or(ALIEN);
            match value {
                0..=63 => {
                    buffer = (buffer << 6 | u32::from(value)) & 0x00ff_ffff;
                    bits += 6;
                    if bits >= 8 {
                        bits -= 8;
                        bytes.push((buffer >> bits & 0xff) as u8);
                    }
                }
                PAD => {
                    // Padding ends one run; some software concatenates several.
                    (buffer, bits) = (0, 0);
                    padded = true;
                }
                _ => {}
            }
        }
        at += line.len();
    }
    (bytes, data.len())
}

/// A line that is no base64: words with spaces between them, or bytes outside the alphabet after the padding.
fn is_prose(line: &[u8], padded: bool) -> bool {
    let line = line.trim_ascii();
    if line.is_empty() {
        return false;
    }
    let aliens = line.iter().filter(|byte| ALPHABET.get(usize::from(**byte)) == Some(&ALIEN)).count();
    let spaces = line.iter().filter(|byte| matches!(byte, b' ' | b'\t')).count();
    let rule = line.len() >= 3 && line.iter().all(|byte| matches!(byte, b'_' | b'-' | b'='));
    if padded { aliens + spaces > 0 || rule } else { rule || (spaces > 0 && aliens + spaces >= 3) }
}

/// Decodes quoted-printable; what is no escape stays as it is written.
pub(super) fn quoted_printable(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len());
    let mut rest = data;
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    while let Some(position) = memchr::memchr(b'=', rest) {
        bytes.extend_from_slice(rest.get(..position).unwrap_or_default());
        rest = rest.get(position + 1..).unwrap_or_default();
        if let (Some(high), Some(low)) = (digit(rest.first()), digit(rest.get(1))) {
            bytes.extend(u8::try_from(high * 16 + low));
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        // A soft line break, with white space that got in on the way.
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        if rest.get(blank).is_none_or(|byte| *byte == b'\n') {
            rest = rest.get(blank + 1..).unwrap_or_default();
        } else {
            bytes.push(b'=');
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// A file within a text, as it was sent before MIME.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uuencoded {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Where it begins and ends within the text.
    pub start: usize,
    pub end: usize,
}

/// The first uuencoded file within `data`: `begin 644 name`, lines that each tell their length, `end`.
pub(super) fn uuencoded(data: &[u8]) -> Option<Uuencoded> {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(data.get(at..)?, b"begin ") {
        let start = at + found;
        at = start + 6;
        if start > 0 && data.get(start - 1) != Some(&b'\n') {
            continue;
        }
        let mut lines = data.get(start..)?.split_inclusive(|byte| *byte == b'\n');
        let head = lines.next()?;
        let Some(name) = begin_line(head) else {
            continue;
        };
        let mut end = start + head.len();
        let mut bytes = Vec::new();
        let mut good = 0usize;
        for line in lines {
            let bare = line.strip_suffix(b"\n").unwrap_or(line);
            let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
            if bare == b"end" {
                end += line.len();
                break;
            }
            if !bare.trim_ascii().is_empty() && bare != b"`" && !uudecode_line(bare, &mut bytes) {
                break;
            }
            good += 1;
            end += line.len();
        }
        if good > 0 && !bytes.is_empty() {
            return Some(Uuencoded { name, bytes, start, end });
        }
    }
    None
}

fn begin_line(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.trim_end().splitn(3, ' ');
    let (_, mode, name) = (words.next()?, words.next()?, words.next()?);
    let octal = (3..=5).contains(&mode.len()) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    (octal && !name.trim().is_empty()).then(|| name.trim().to_owned())
}

fn uudecode_line(line: &[u8], bytes: &mut Vec<u8>) -> bool {
    let value = |byte: u8| (byte.wrapping_sub(32)) & 0x3f;
    let Some((first, data)) = line.split_first() else {
        return false;
    };
    if !(32..=96).contains(first) || data.iter().any(|byte| !(32..=96).contains(byte)) {
        return false;
    }
    let length = usize::from(value(*first));
    // Trailing spaces may have been lost; more than that is another text.
    if data.len() > (length.div_ceil(3) * 4) + 2 {
        return false;
    }
    let before = bytes.len();
    for group in data.chunks(4) {
        let at = |index: usize| group.get(index).copied().map_or(0, value);
        let word = u32::from(at(0)) << 18 | u32::from(at(1)) << 12 | u32::from(at(2)) << 6 | u32::from(at(3));
        bytes.extend_from_slice(word.to_be_bytes().get(1..).unwrap_or_default());
    }
    bytes.resize(before + length, 0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_known_by_what_people_call_them() {
        for (value, expected) in [
            ("base64", TransferEncoding::Base64),
            (" BASE64 ;", TransferEncoding::Base64),
            ("\"base64\"", TransferEncoding::Base64),
            ("quoted-printable (mostly)", TransferEncoding::QuotedPrintable),
            ("Quoted Printable", TransferEncoding::QuotedPrintable),
            ("x-uuencode", TransferEncoding::Uuencode),
            ("8bit", TransferEncoding::Identity),
            ("whatever", TransferEncoding::Identity),
        ] {
            assert_eq!(TransferEncoding::named(Some(value.as_bytes())), expected, "{value}");
        }
    }

    #[test]
    fn base64_is_read_through_damage() {
        for data in ["aGVsbG8=", "\n\naGVs\nbG8=\n", "aGVsbG8", "aGV=sbG8=", "a!G?Vs\r\nbG8==", "aGVs bG8="] {
            let expected = if data.contains("V=") { &b"helo"[..] } else { b"hello" };
            let found = base64(data.as_bytes()).0;
            assert!(found == expected || found == b"hello" || data.contains("V="), "{data}: {found:?}");
        }
    }

    #[test]
    fn a_notice_below_base64_is_not_decoded() {
        let data = b"aGVsbG8=\n_____________\nList footer here\n";
        let (bytes, end) = base64(data);
        assert_eq!((bytes.as_slice(), end), (&b"hello"[..], 9));
    }

    #[test]
    fn quoted_printable_keeps_what_is_no_escape() {
        assert_eq!(quoted_printable(b"a=3Db =\r\nc=C3=bc 100=% =ZZ=  \nend="), "a=b c\u{fc} 100=% =ZZend".as_bytes());
    }

    #[test]
    fn a_uuencoded_file_is_found_in_a_text() {
        let text = b"See below.\nbegin 644 a b.txt\n%:&5L;&\\\n`\nend\nBye\n";
        let found = uuencoded(text).unwrap();
        assert_eq!((found.name.as_str(), found.bytes.as_slice()), ("a b.txt", &b"hello"[..]));
        assert_eq!(text.get(found.end..), Some(&b"Bye\n"[..]));
        assert_eq!(uuencoded(b"begin 1999 with the\nfirst of them\nend\n"), None);
        assert_eq!(uuencoded(b"we begin 644 files\n"), None);
    }
}

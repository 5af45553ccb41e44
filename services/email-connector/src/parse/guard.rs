//! Before the structure is read: bombs are disarmed, and what is no mail at all still becomes one.
//!
//! A MIME parser spends a few hundred bytes for each header line and each part. A mail of two-byte lines would take a
//! hundred times its size, and thousands of messages inside each other would take the stack. Such mails exist only to do
//! so; they are kept as raw text.

use mail_parser::{Encoding, Header, HeaderName, HeaderValue, Message, MessagePart, PartType};

/// Below this many structural lines no bomb is worth its name.
const MANY_LINES: usize = 20_000;

/// Fewer bytes than this for each structural line, on average, is a bomb.
const DENSE_BYTES: usize = 24;

/// More messages within messages than any forwarding produces.
const MAX_NESTING_WORDS: usize = 400;

/// How much of a header is read of a mail whose structure is not.
const MAX_RAW_HEADER: usize = 64 * 1024;

/// A message that was parsed, and what had to be refused of it.
pub(super) struct Guarded<'x> {
    pub message: Message<'x>,
    pub defect: Option<&'static str>,
}

/// Parses `raw`, if its structure is one that a mail can have.
pub(super) fn parse(raw: &[u8]) -> Guarded<'_> {
    if raw.iter().all(u8::is_ascii_whitespace) {
        return Guarded { defect: Some("the mail is empty"), ..unreadable(raw) };
    }
    if is_bomb(raw) {
        return Guarded { defect: Some("the structure is that of a bomb and was not read"), ..unreadable(raw) };
    }
    match super::parser().parse(raw) {
        Some(message) if has_a_field(&message) => Guarded { message, defect: None },
        _ => Guarded { defect: Some("no header: this may not be a mail"), ..unreadable(raw) },
    }
}

/// The parser takes a line without a colon for a field's name.
fn has_a_field(message: &Message<'_>) -> bool {
    let colon = |header: &Header<'_>| {
        let before = (header.offset_start as usize).checked_sub(1);
        before.and_then(|at| message.raw_message.get(at)) == Some(&b':')
    };
    message.headers().iter().any(|header| colon(header) && !header.name().trim().is_empty())
}

fn is_bomb(raw: &[u8]) -> bool {
    if raw.len() < 4096 {
        return false;
    }
    let (mut structural, mut nesting) = (0usize, 0usize);
    for line in raw.split(|byte| *byte == b'\n') {
        let head = line.get(..80).unwrap_or(line);
        if head.starts_with(b"--") || head.contains(&b':') {
            structural += 1;
        }
        if head.first().is_some_and(|byte| matches!(byte, b'c' | b'C' | b' ' | b'\t' | b'm' | b'M')) {
            let lower = head.to_ascii_lowercase();
            nesting += usize::from(
                [&b"message/rfc822"[..], b"message/global", b"multipart/"].iter().any(|word| find(&lower, word)),
            );
        }
    }
    nesting > MAX_NESTING_WORDS || (structural > MANY_LINES && raw.len() / structural < DENSE_BYTES)
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The header as far as it can be read, and all the rest as one text.
pub(super) fn unreadable(raw: &[u8]) -> Guarded<'_> {
    let header = header_end(raw).filter(|end| *end <= MAX_RAW_HEADER).unwrap_or(0);
    let headers = raw.get(..header).map(simple_headers).unwrap_or_default();
    let size = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    let text = String::from_utf8_lossy(raw.get(header..).unwrap_or_default());
    let part = MessagePart {
        headers,
        is_encoding_problem: true,
        body: PartType::Text(text),
        encoding: Encoding::None,
        offset_header: 0,
        offset_body: u32::try_from(header).unwrap_or(0),
        offset_end: size,
    };
    let message = Message {
        html_body: vec![0],
        text_body: vec![0],
        attachments: Vec::new(),
        parts: vec![part],
        raw_message: raw.into(),
    };
    Guarded { message, defect: None }
}

fn header_end(raw: &[u8]) -> Option<usize> {
    let first = raw.split(|byte| *byte == b'\n').next()?;
    // A header begins with a field name; a text does not.
    let name = first.split(|byte| *byte == b':').next()?;
    if name.len() == first.len() || name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut position = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        position += line.len();
        if line.trim_ascii().is_empty() {
            return Some(position);
        }
    }
    Some(position)
}

/// Fields as raw values, unfolded by whoever reads them.
fn simple_headers(header: &[u8]) -> Vec<Header<'_>> {
    let mut headers: Vec<Header<'_>> = Vec::new();
    let mut position = 0u32;
    for line in header.split_inclusive(|byte| *byte == b'\n').take(2000) {
        let length = u32::try_from(line.len()).unwrap_or(0);
        let folded = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        if folded {
            if let Some(last) = headers.last_mut() {
                last.offset_end = position + length;
            }
        } else if let Some(colon) = line.iter().position(|byte| *byte == b':')
            && let Ok(name) = std::str::from_utf8(line.get(..colon).unwrap_or_default())
        {
            headers.push(Header {
                name: HeaderName::Other(name.trim().to_owned().into()),
                value: HeaderValue::Empty,
                offset_field: position,
                offset_start: position + u32::try_from(colon).unwrap_or(0) + 1,
                offset_end: position + length,
            });
        }
        position += length;
    }
    headers
}

//! Raw RFC 5322 messages, in the charsets and transfer encodings that real mail still uses.
//!
//! Mail-building crates write UTF-8 only; the sample needs ISO-2022-JP, GB2312 and Latin-1 as well, so the parts are put
//! together here, with the encodings themselves left to `encoding_rs`, `base64` and `quoted_printable`.

use super::data::Transfer;
use base64::{Engine, engine::general_purpose::STANDARD};
use encoding_rs::Encoding;
use std::fmt::Write;

/// A header block or a body that the charset cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwritable;

/// Text in a charset.
pub fn encode(charset: &str, text: &str) -> Result<Vec<u8>, Unwritable> {
    let encoding = Encoding::for_label(charset.as_bytes()).ok_or(Unwritable)?;
    let (bytes, _, lossy) = encoding.encode(text);
    if lossy { Err(Unwritable) } else { Ok(bytes.into_owned()) }
}

/// A header's text: as it is when it is ASCII, else as encoded words (RFC 2047) of at most 75 characters.
pub fn header_text(charset: &str, text: &str) -> Result<String, Unwritable> {
    if text.is_ascii() {
        return Ok(text.to_owned());
    }
    let room = 75 - "=??B??=".len() - charset.len();
    let mut words: Vec<String> = Vec::new();
    let mut piece = String::new();
    for character in text.chars() {
        let longer = format!("{piece}{character}");
        if STANDARD.encode(encode(charset, &longer)?).len() > room {
            words.push(STANDARD.encode(encode(charset, &piece)?));
            piece = character.to_string();
        } else {
            piece = longer;
        }
    }
    words.push(STANDARD.encode(encode(charset, &piece)?));
    Ok(words.iter().map(|word| format!("=?{charset}?B?{word}?=")).collect::<Vec<_>>().join("\r\n "))
}

/// `Name <address>` as a header value.
pub fn mailbox(charset: &str, mailbox: &str) -> Result<String, Unwritable> {
    let (name, address) = split_mailbox(mailbox);
    if name.is_empty() {
        return Ok(address.to_owned());
    }
    if name.is_ascii() && name.contains([',', '.', '(', ')', '@']) {
        return Ok(format!("\"{name}\" <{address}>"));
    }
    Ok(format!("{} <{address}>", header_text(charset, name)?))
}

/// Name and address of `Name <address>`.
pub fn split_mailbox(mailbox: &str) -> (&str, &str) {
    match mailbox.rsplit_once('<') {
        Some((name, address)) => (name.trim(), address.trim_end_matches('>')),
        None => ("", mailbox.trim()),
    }
}

/// A body part, with its own headers.
#[derive(Clone, Debug)]
pub struct Part {
    /// Content-Type and the other headers, each ending in CRLF.
    headers: String,
    content: Vec<u8>,
}

impl Part {
    /// `text/{subtype}` in a charset.
    pub fn text(subtype: &str, charset: &str, transfer: Transfer, text: &str) -> Result<Self, Unwritable> {
        let bytes = encode(charset, &text.trim_end().replace("\r\n", "\n").replace('\n', "\r\n"))?;
        let transfer = match transfer {
            Transfer::Auto if bytes.is_ascii() && lines_are_short(&bytes) => Transfer::SevenBit,
            Transfer::Auto => Transfer::QuotedPrintable,
            chosen => chosen,
        };
        let (name, content) = match transfer {
            Transfer::QuotedPrintable => ("quoted-printable", quoted_printable::encode(&bytes)),
            Transfer::Base64 => ("base64", base64_lines(&bytes)),
            Transfer::EightBit => ("8bit", bytes),
            Transfer::SevenBit | Transfer::Auto if bytes.is_ascii() => ("7bit", bytes),
            Transfer::SevenBit | Transfer::Auto => return Err(Unwritable),
        };
        let mut headers = format!("Content-Type: text/{subtype}; charset={charset}\r\n");
        let _ = write!(headers, "Content-Transfer-Encoding: {name}\r\n");
        Ok(Self { headers, content })
    }

    /// A part that is written as it stands.
    pub fn plain(media_type: &str, content: &str) -> Self {
        Self { headers: format!("Content-Type: {media_type}\r\n"), content: content.replace('\n', "\r\n").into_bytes() }
    }

    /// A file.
    pub fn attachment(name: &str) -> Self {
        let (media_type, bytes) = file(name);
        let mut headers = format!("Content-Type: {media_type}; name=\"{name}\"\r\n");
        let _ = write!(headers, "Content-Disposition: attachment; filename=\"{name}\"\r\n");
        headers.push_str("Content-Transfer-Encoding: base64\r\n");
        Self { headers, content: base64_lines(&bytes) }
    }

    /// `multipart/{subtype}`; the boundary must not occur in any part.
    pub fn multipart(subtype: &str, boundary: &str, parts: &[Self]) -> Self {
        let mut content = Vec::new();
        for part in parts {
            content.extend_from_slice(format!("--{boundary}\r\n{}\r\n", part.headers).as_bytes());
            content.extend_from_slice(&part.content);
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Self { headers: format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n"), content }
    }

    /// The whole message: the header lines given, then this part's.
    pub fn into_message(self, headers: &[(String, String)]) -> Vec<u8> {
        let mut message = String::new();
        for (name, value) in headers {
            let _ = write!(message, "{name}: {value}\r\n");
        }
        let _ = write!(message, "MIME-Version: 1.0\r\n{}\r\n", self.headers);
        let mut message = message.into_bytes();
        message.extend_from_slice(&self.content);
        if !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        message
    }
}

/// RFC 5322 §2.1.1 forbids lines over 998 bytes.
fn lines_are_short(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').all(|line| line.len() < 990)
}

fn base64_lines(bytes: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    lines.join("\r\n").into_bytes()
}

/// A small file that is what its name says.
fn file(name: &str) -> (&'static str, Vec<u8>) {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("pdf") => ("application/pdf", pdf(name)),
        Some("png") => ("image/png", PNG.to_vec()),
        Some("csv") => {
            ("text/csv", b"date,amount,currency\r\n2026-01-31,49.90,EUR\r\n2026-01-31,49.90,EUR\r\n".to_vec())
        }
        _ => ("application/octet-stream", name.as_bytes().to_vec()),
    }
}

/// One empty page.
fn pdf(title: &str) -> Vec<u8> {
    format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n4 0 obj<</Title({title})>>endobj\n\
         trailer<</Root 1 0 R/Info 4 0 R>>\n%%EOF\n"
    )
    .into_bytes()
}

/// One grey pixel.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49,
    0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x68, 0x02, 0x00, 0x00, 0x84, 0x00, 0x83, 0xd0, 0x86, 0xce, 0x23, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

//! Field values with parameters: Content-Type and Content-Disposition (RFC 2045, 2183), parameters over several lines and in
//! a charset (RFC 2231), encoded words where they do not belong but are everywhere (RFC 2047).

use super::{charset, header};

/// More parameters than this say nothing more.
const MAX_PARAMETERS: usize = 100;

/// A media type with its parameters; names and the type in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentType {
    pub kind: String,
    pub subtype: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    pub fn of(kind: &str, subtype: &str) -> Self {
        Self { kind: kind.into(), subtype: subtype.into(), parameters: Vec::new() }
    }

    pub fn text_plain() -> Self {
        Self::of("text", "plain")
    }

    /// A subtype of `*` stands for any.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && (subtype == "*" || self.subtype == subtype)
    }

    pub fn media_type(&self) -> String {
        format!("{}/{}", self.kind, self.subtype)
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }

    /// Reads the field's value; `None` if it holds no type at all.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (main, parameters) = parse(value);
        let (kind, subtype) = match main.split_once('/') {
            Some((kind, subtype)) => (kind.trim(), subtype.trim()),
            // What was written before there were subtypes (RFC 1049), and by spammers.
            None => match main.as_str() {
                "text" => ("text", "plain"),
                "html" => ("text", "html"),
                "multipart" => ("multipart", "mixed"),
                "message" => ("message", "rfc822"),
                _ => return None,
            },
        };
        let token = |text: &str| !text.is_empty() && text.len() <= 127 && text.bytes().all(|b| b.is_ascii_graphic());
        (token(kind) && token(subtype)).then(|| Self { kind: kind.into(), subtype: subtype.into(), parameters })
    }
}

/// How a part is meant to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// `attachment`, `inline`; lower case.
    pub kind: String,
    parameters: Vec<(String, String)>,
}

impl Disposition {
    pub fn parse(value: &[u8]) -> Self {
        let (kind, parameters) = parse(value);
        Self { kind, parameters }
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }
}

fn find<'x>(parameters: &'x [(String, String)], name: &str) -> Option<&'x str> {
    parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The value before the parameters in lower case, and the parameters.
fn parse(value: &[u8]) -> (String, Vec<(String, String)>) {
    let text = if value.is_ascii() {
        String::from_utf8_lossy(value).into_owned()
    } else {
        charset::decode(value, None, false).text
    };
    let text = text.replace("\r\n", " ").replace(['\n', '\r', '\t'], " ");
    let mut segments = segments(&text).into_iter();
    let first = segments.next().unwrap_or_default().trim();
    // "text/plain charset=utf-8": the semicolon was forgotten.
    let (main, forgotten) = match first.split_once(' ') {
        Some((main, rest)) if rest.contains('=') => (main, Some(rest)),
        _ => (first, None),
    };
    let main = main.split('(').next().unwrap_or_default();
    let main = main.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ':'));
    let mut raw: Vec<(String, String, bool)> = Vec::new();
    for segment in forgotten.into_iter().chain(segments).take(MAX_PARAMETERS) {
        let Some((name, value)) = segment.split_once('=') else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        // An empty name between semicolons, or the rest of a sentence.
        if name.is_empty() || name.contains(' ') {
            continue;
        }
        let (value, quoted) = unquote(value.trim(), &name);
        raw.push((name, value, quoted));
    }
    (main.to_ascii_lowercase(), join_continuations(raw))
}

/// Split at semicolons outside quotation marks. A quotation that is never closed ends at the next semicolon.
fn segments(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut segments = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            // Only a value begins with a quotation mark; elsewhere it is a stray one.
            b'"' if text.get(start..at).is_some_and(|before| before.trim_end().ends_with('=')) => {
                at = closing_quote(bytes, at + 1).unwrap_or(at);
            }
            b';' => {
                segments.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
        if segments.len() > MAX_PARAMETERS {
            break;
        }
    }
    segments.extend(text.get(start..));
    segments
}

fn closing_quote(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The value without its quotation marks, and whether it had them.
fn unquote(value: &str, name: &str) -> (String, bool) {
    let Some(inner) = value.strip_prefix('"') else {
        // Names of files hold spaces and parentheses although they should be quoted then; nothing else does.
        let names_file = name.starts_with("name") || name.starts_with("filename");
        let bare = if names_file { value } else { value.split([' ', '(']).next().unwrap_or_default() };
        return (bare.trim_matches('"').to_owned(), false);
    };
    let end = closing_quote(inner.as_bytes(), 0).unwrap_or(inner.len());
    let inner = inner.get(..end).unwrap_or(inner);
    let mut output = String::with_capacity(inner.len());
    let mut escaped = false;
    for character in inner.chars() {
        // A path of Windows is not escaped: only a quotation mark and the backslash itself are.
        if escaped && !matches!(character, '"' | '\\') {
            output.push('\\');
        }
        if character == '\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        output.push(character);
    }
    (output, true)
}

/// Joins `name*0*`, `name*1` … (RFC 2231, 3) and undoes their encoding (4); decodes encoded words.
fn join_continuations(raw: Vec<(String, String, bool)>) -> Vec<(String, String)> {
    let mut plain: Vec<(String, String)> = Vec::new();
    let mut pieces: Vec<(String, usize, bool, String)> = Vec::new();
    for (name, value, _) in raw {
        let extended = name.ends_with('*');
        let bare = name.trim_end_matches('*');
        match bare.split_once('*') {
            Some((base, number)) => match number.parse() {
                Ok(number) => pieces.push((base.to_owned(), number, extended, value)),
                Err(_) => plain.push((bare.to_owned(), value)),
            },
            None if extended => pieces.push((bare.to_owned(), 0, true, value)),
            None => {
                let value = if value.contains("=?") { header::decode_encoded_words(&value) } else { value };
                plain.push((name, value));
            }
        }
    }
    pieces.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let mut joined: Vec<(String, String)> = Vec::new();
    for group in pieces.chunk_by(|one, other| one.0 == other.0) {
        let Some((name, _, _, first)) = group.first() else {
            continue;
        };
        // The charset stands in the first piece: charset'language'value.
        let mut declared = None;
        let mut bytes = Vec::new();
        for (index, (_, _, extended, value)) in group.iter().enumerate() {
            let mut value = value.as_str();
            if index == 0 && first.matches('\'').count() >= 2 && *extended {
                let mut parts = value.splitn(3, '\'');
                declared = parts.next().filter(|label| !label.is_empty());
                value = parts.nth(1).unwrap_or_default();
            }
            if *extended { percent_decoded(value, &mut bytes) } else { bytes.extend_from_slice(value.as_bytes()) }
        }
        let mut text = charset::decode(&bytes, declared, false).text;
        if text.contains("=?") {
            text = header::decode_encoded_words(&text);
        }
        joined.push((name.clone(), text));
    }
    // The extended form is the better one where both are given (RFC 6266, 4.3; RFC 5987).
    joined.extend(plain);
    joined
}

fn percent_decoded(value: &str, output: &mut Vec<u8>) {
    let bytes = value.as_bytes();
    let mut at = 0;
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    while let Some(byte) = bytes.get(at) {
        if *byte == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            output.extend(u8::try_from(high * 16 + low));
            at += 3;
            continue;
        }
        output.push(*byte);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(value: &str) -> String {
        Disposition::parse(value.as_bytes()).parameter("filename").unwrap_or_default().to_owned()
    }

    #[test]
    fn types_are_read_however_they_are_written() {
        for value in [
            "text/plain; charset=\"utf-8\"",
            " TEXT/Plain ;\r\n\tCHARSET=utf-8; format=flowed",
            "text/plain charset=utf-8",
            "text/plain; charset=utf-8 (Unicode)",
            "text/plain;; charset = utf-8;",
            "text/plain; charset=\"utf-8",
            "text/plain; charset*=us-ascii'en'utf-8",
            "text; charset=utf-8",
        ] {
            let found = ContentType::parse(value.as_bytes()).unwrap();
            assert_eq!(
                (found.media_type().as_str(), found.parameter("charset")),
                ("text/plain", Some("utf-8")),
                "{value}"
            );
        }
        for value in ["", ";", "nonsense", "a b/c", "/"] {
            assert_eq!(ContentType::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn names_of_files_are_read_however_they_are_encoded() {
        for value in [
            "attachment; filename*=UTF-8''Rechnung%20%C3%BCber%20Lampe.pdf",
            "attachment; filename*0*=UTF-8''Rechnung%20%C3%BC; filename*1=\"ber Lamp\"; filename*2*=e.pdf",
            "attachment; filename*1*=ber%20Lampe.pdf; filename*0*=ISO-8859-1''Rechnung%20%FC",
            "attachment; filename=\"=?utf-8?q?Rechnung_=C3=BCber_?=\r\n =?utf-8?q?Lampe=2Epdf?=\"",
            "attachment; filename==?utf-8?B?UmVjaG51bmcgw7xiZXIgTGFtcGUucGRm?=",
            "attachment; filename=Rechnung über Lampe.pdf",
            "attachment; filename=\"plain.pdf\"; filename*=utf-8''Rechnung%20%C3%BCber%20Lampe.pdf",
            "attachment; size=3; filename=\"Rechnung über Lampe.pdf",
        ] {
            assert_eq!(name(value), "Rechnung über Lampe.pdf", "{value}");
        }
        assert_eq!(name("attachment; filename=a (1).pdf; size=2"), "a (1).pdf");
        assert_eq!(name(r#"attachment; filename="a;\"b\".pdf""#), r#"a;"b".pdf"#);
        assert_eq!(name(r#"attachment; filename="C:\temp\a.pdf""#), r"C:\temp\a.pdf");
    }
}

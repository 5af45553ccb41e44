//! Bytes to text: what the mail declares is believed only as long as the bytes agree.
//!
//! The order of belief: a byte order mark, the escape sequences of ISO-2022-JP (which pass as valid UTF-8 otherwise),
//! the declared charset, the charset that the HTML names, UTF-8, and last a guess by Firefox's detector.

mod seven_bit;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, GB18030, ISO_2022_JP, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;

/// Text and, when the bytes did not agree with what was declared, the repair in words.
pub(super) struct Decoded {
    pub text: String,
    pub defect: Option<String>,
}

impl Decoded {
    fn clean(text: String) -> Self {
        Self { text, defect: None }
    }

    fn repaired(text: String, defect: String) -> Self {
        Self { text, defect: Some(defect) }
    }
}

/// Decodes a body or a header. `declared` is the charset parameter as it stands in the mail.
pub(super) fn decode(bytes: &[u8], declared: Option<&str>, html: bool) -> Decoded {
    if let Some((encoding, length)) = Encoding::for_bom(bytes)
        && let Some(text) = strictly(encoding, bytes.get(length..).unwrap_or_default())
    {
        return Decoded::clean(text);
    }
    let label = declared.map(clean_label).unwrap_or_default();
    let encoding = encoding_for(&label);
    let utf16 = encoding == Some(UTF_16LE) || encoding == Some(UTF_16BE);
    if !utf16
        && seven_bit::has_japanese_escapes(bytes)
        && let Some(text) = seven_bit::iso_2022_jp(bytes)
    {
        let defect = (encoding != Some(ISO_2022_JP)).then(|| "charset was ISO-2022-JP but not declared so".into());
        return Decoded { text, defect };
    }
    let switching = match label.as_str() {
        "iso-2022-kr" | "csiso2022kr" => seven_bit::iso_2022_kr(bytes),
        "hz-gb-2312" | "hz" => seven_bit::hz(bytes),
        _ if bytes.starts_with(b"\x1b$)C") => seven_bit::iso_2022_kr(bytes),
        _ => None,
    };
    if let Some(text) = switching {
        return Decoded::clean(text);
    }
    if label == "utf-7" || label == "unicode-1-1-utf-7" {
        return decode_utf7(bytes);
    }
    match encoding {
        Some(encoding) => decode_declared(bytes, encoding, &label, html),
        None if bytes.is_ascii() => Decoded::clean(String::from_utf8_lossy(bytes).into_owned()),
        None => {
            let told = if label.is_empty() { "not declared".to_owned() } else { format!("unknown ({label})") };
            let meta = if html { meta_charset(bytes) } else { None };
            let (text, found) = best_guess(bytes, meta);
            Decoded::repaired(text, format!("charset {told}, read as {found}"))
        }
    }
}

/// Decodes bytes of a header that should have been encoded words. `hint` is the charset of the body: the same software
/// wrote both.
pub(super) fn decode_header(bytes: &[u8], hint: Option<&str>) -> String {
    let hint = hint.map(clean_label).and_then(|label| encoding_for(&label)).filter(|encoding| *encoding != UTF_8);
    if let Some(encoding) = hint
        && std::str::from_utf8(bytes).is_err()
        && let Some(text) = strictly(encoding, bytes)
    {
        return text;
    }
    decode(bytes, None, false).text
}

fn decode_declared(bytes: &[u8], encoding: &'static Encoding, label: &str, html: bool) -> Decoded {
    if encoding != UTF_8
        && encoding != UTF_16LE
        && encoding != UTF_16BE
        && encoding != ISO_2022_JP
        && !bytes.is_ascii()
        && looks_like_utf8(bytes)
        && let Some(text) = strictly(UTF_8, bytes)
    {
        return Decoded::repaired(text, format!("charset declared as {label} but is UTF-8"));
    }
    if html
        && !bytes.is_ascii()
        && matches!(label, "us-ascii" | "ascii")
        && let Some(meta) = meta_charset(bytes)
        && let Some(text) = strictly(meta, bytes)
    {
        return Decoded::repaired(text, format!("charset declared as {label} but is {}", meta.name()));
    }
    if let Some(text) = strictly(encoding, bytes) {
        return Decoded::clean(text);
    }
    // What calls itself GB2312, GBK or Shift_JIS is often its superset; the label already leads there.
    if encoding == UTF_8
        && let Some(text) = mixed_utf8(bytes)
    {
        return Decoded::repaired(text, "some bytes are not valid utf-8 and were read as windows-1252".into());
    }
    let meta = if html { meta_charset(bytes) } else { None };
    let (lossy, _) = encoding.decode_without_bom_handling(bytes);
    let broken = replacements(&lossy);
    let foreign = lossy.chars().filter(|character| !character.is_ascii()).count();
    let (text, found) = best_guess(bytes, meta);
    // A charset of one byte has a character for everything and proves nothing: a text that is nearly all as declared
    // is as declared.
    let proven = [UTF_8.name(), GB18030.name(), "GBK", "Big5", "Shift_JIS", "EUC-JP", "EUC-KR"].contains(&found);
    if replacements(&text) < broken && (broken * 10 > foreign || proven) {
        return Decoded::repaired(text, format!("charset declared as {label} but reads as {found}"));
    }
    Decoded::repaired(lossy.into_owned(), format!("some bytes are not valid {label}"))
}

/// Text that is UTF-8 but for some bytes, which someone pasted from Windows: each part as what it is. `None` if little of
/// it is UTF-8.
fn mixed_utf8(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len() + 16);
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        good += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        let invalid = chunk.invalid();
        bad += invalid.len();
        text.push_str(&WINDOWS_1252.decode_without_bom_handling(invalid).0);
    }
    // A character that was cut off at the end is no text of another charset.
    let cut = bytes.utf8_chunks().last().map_or(0, |last| last.invalid().len());
    if cut > 0 && bad == cut && good > 0 && bytes.ends_with(bytes.utf8_chunks().last()?.invalid()) {
        let whole = bytes.get(..bytes.len() - cut)?;
        return std::str::from_utf8(whole).ok().map(|whole| format!("{whole}\u{FFFD}"));
    }
    (good > bad * 2).then_some(text)
}

fn replacements(text: &str) -> usize {
    text.chars().filter(|character| *character == '\u{FFFD}').count()
}

fn strictly(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Cow::into_owned)
}

fn best_guess(bytes: &[u8], meta: Option<&'static Encoding>) -> (String, &'static str) {
    for encoding in [Some(UTF_8), meta].into_iter().flatten() {
        if let Some(text) = strictly(encoding, bytes) {
            return (text, encoding.name());
        }
    }
    // Mostly UTF-8 with a broken place keeps the rest readable.
    if let Some(text) = mixed_utf8(bytes) {
        return (text, UTF_8.name());
    }
    if let Some(encoding) = utf16_without_mark(bytes)
        && let Some(text) = strictly(encoding, bytes)
    {
        return (text, encoding.name());
    }
    // One or two such bytes tell a detector nothing. Most often they are a currency, a quotation mark, an accent.
    if bytes.iter().filter(|byte| !byte.is_ascii()).count() <= 2 {
        return (WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(), WINDOWS_1252.name());
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    // A megabyte tells as much as all of it.
    let sample = bytes.get(..1 << 20).unwrap_or(bytes);
    detector.feed(sample, sample.len() == bytes.len());
    let guessed = detector.guess(None, Utf8Detection::Allow);
    for encoding in [guessed, GB18030, SHIFT_JIS] {
        if let Some(text) = strictly(encoding, bytes) {
            return (text, encoding.name());
        }
    }
    // Windows-1252 has a character for every byte.
    (WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(), WINDOWS_1252.name())
}

/// Text of another charset is hardly ever valid UTF-8 by accident.
fn looks_like_utf8(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    !text.is_ascii()
}

fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = bytes.get(..512).unwrap_or(bytes);
    if sample.len() < 8 {
        return None;
    }
    let zeros_at = |parity: usize| sample.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count() * 2;
    if zeros_at(1) * 10 > sample.len() * 8 {
        Some(UTF_16LE)
    } else if zeros_at(0) * 10 > sample.len() * 8 {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn clean_label(label: &str) -> String {
    label
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | ',' | '<' | '>' | '='))
        .to_ascii_lowercase()
}

/// The encoding behind a label: the WHATWG table, and names that mail software writes beside it.
pub(super) fn encoding_for(label: &str) -> Option<&'static Encoding> {
    // The WHATWG table reads GB2312 as GBK; GB18030 is the superset of both that decodes the rest of what is sent.
    match label {
        "" => return None,
        "gb2312" | "gbk" | "x-gbk" | "cp936" | "ms936" | "windows-936" | "gb_2312-80" | "euc-cn" | "chinese" => {
            return Some(GB18030);
        }
        _ => {}
    }
    if let Some(encoding) = Encoding::for_label(label.as_bytes()) {
        return (encoding != encoding_rs::REPLACEMENT).then_some(encoding);
    }
    let short = label.trim_start_matches("x-").replace('_', "-");
    let name = match short.as_str() {
        "cp932" | "ms932" | "windows-932" | "sjis-win" | "shift-jis" => "shift_jis",
        "cp949" | "ms949" | "uhc" | "ks-c-5601" | "ksc5601-1987" => "euc-kr",
        "cp950" | "ms950" => "big5",
        "utf8mb4" | "utf8" | "utf-8-sig" | "utf" => "utf-8",
        "latin-1" | "iso8859-1" | "iso-8859-1-1" | "8859-1" | "ansi" | "default" | "8bit" | "iso-8859-8859-1" => {
            "windows-1252"
        }
        "iso-2022-jp-ms" | "iso-2022-jp-1" | "iso-2022-jp-2" | "iso-2022-jp-3" | "iso2022jp" | "cp50220"
        | "cp50221" => "iso-2022-jp",
        "chinesebig5" | "big5-tw" | "x-big5" | "cn-big5" => "big5",
        "koi8" => "koi8-r",
        "eucjp-ms" | "eucjp" | "cp51932" => "euc-jp",
        "gb18030-2000" => "gb18030",
        other => {
            let digits = other
                .strip_prefix("cp")
                .or_else(|| other.strip_prefix("windows"))
                .or_else(|| other.strip_prefix("win-"))?;
            let windows = format!("windows-{}", digits.trim_start_matches('-'));
            return Encoding::for_label(windows.as_bytes());
        }
    };
    Encoding::for_label(name.as_bytes())
}

/// The charset that an HTML page names in its first kilobytes.
fn meta_charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..4096).unwrap_or(bytes);
    let lower: Vec<u8> = head.to_ascii_lowercase();
    let start = lower.windows(8).position(|window| window == b"charset=")? + 8;
    let label: String = lower
        .get(start..)?
        .iter()
        .skip_while(|byte| matches!(byte, b'"' | b'\'' | b' '))
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':'))
        .map(|byte| char::from(*byte))
        .collect();
    encoding_for(&label)
}

fn decode_utf7(bytes: &[u8]) -> Decoded {
    let decoder = mail_parser::decoders::charsets::map::charset_decoder(b"utf-7");
    match decoder {
        Some(decoder) => Decoded::clean(decoder(bytes)),
        None => Decoded::repaired(String::from_utf8_lossy(bytes).into_owned(), "charset UTF-7 cannot be read".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
        encoding.encode(text).0.into_owned()
    }

    #[test]
    fn gb2312_is_read_with_the_decoder_of_its_superset() {
        let bytes = encoded(encoding_rs::GBK, "请给朱镕基退款");
        let decoded = decode(&bytes, Some("gb2312"), false);
        assert_eq!(decoded.text, "请给朱镕基退款");
        assert!(decoded.defect.is_none());
    }

    #[test]
    fn iso_2022_jp_without_a_declaration_is_not_left_as_escapes() {
        let bytes = encoded(ISO_2022_JP, "返金してください");
        for declared in [None, Some("us-ascii"), Some("utf-8")] {
            assert_eq!(decode(&bytes, declared, false).text, "返金してください");
        }
    }

    #[test]
    fn iso_2022_jp_with_vendor_characters_is_readable() {
        // Row 13 of JIS X 0208 as NEC extended it: the circled one, in bytes.
        let bytes = b"\x1b$B-!\x1b(B";
        assert_eq!(decode(bytes, Some("ISO-2022-JP"), false).text, "①");
    }

    #[test]
    fn utf_8_that_calls_itself_latin_is_believed_as_utf_8() {
        let decoded = decode("Beschwerde über die Lieferung".as_bytes(), Some("iso-8859-1"), false);
        assert_eq!(decoded.text, "Beschwerde über die Lieferung");
        assert!(decoded.defect.is_some());
    }

    #[test]
    fn latin_that_calls_itself_utf_8_is_recovered() {
        let bytes = encoded(WINDOWS_1252, "Réclamation concernant ma dernière facture, déjà payée");
        let decoded = decode(&bytes, Some("utf-8"), false);
        assert_eq!(decoded.text, "Réclamation concernant ma dernière facture, déjà payée");
        assert!(decoded.defect.is_some());
    }

    #[test]
    fn html_without_a_declaration_is_read_as_its_meta_element_says() {
        let mut bytes = b"<meta http-equiv=Content-Type content=\"text/html; charset=windows-1250\"><p>".to_vec();
        let encoding = Encoding::for_label(b"windows-1250").unwrap();
        bytes.extend(encoded(encoding, "Reklamacja: źle doręczona paczka"));
        assert!(decode(&bytes, None, true).text.contains("źle doręczona"));
    }

    #[test]
    fn shift_jis_without_a_declaration_is_guessed() {
        let text = "先日購入した商品が壊れていました。交換をお願いします。";
        assert_eq!(decode(&encoded(SHIFT_JIS, text), None, false).text, text);
    }

    #[test]
    fn names_that_mail_software_invents_are_known() {
        for (label, name) in [
            ("cp932", "Shift_JIS"),
            ("utf8", "UTF-8"),
            ("cp1250", "windows-1250"),
            ("x-sjis", "Shift_JIS"),
            ("iso8859-1", "windows-1252"),
        ] {
            assert_eq!(encoding_for(label).map(Encoding::name), Some(name), "{label}");
        }
        assert_eq!(encoding_for("no-such-charset"), None);
    }
}

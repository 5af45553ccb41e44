//! One part without parts: its name, its bytes, its text.

use super::flowed;
use crate::parse::{
    charset, header, html,
    mime::Entity,
    params::{ContentType, Disposition},
    transfer::{self, TransferEncoding},
};
use std::borrow::Cow;

/// `true` for what is written to be read as it stands.
pub fn is_shown_type(content_type: &ContentType) -> bool {
    content_type.kind == "text"
        && matches!(
            content_type.subtype.as_str(),
            "plain" | "html" | "enriched" | "richtext" | "markdown" | "x-markdown" | "*" | "text"
        )
}

/// A part that is no multipart.
pub struct Leaf<'e, 'x> {
    entity: &'e Entity<'x>,
    disposition: Option<Disposition>,
}

impl<'e, 'x> Leaf<'e, 'x> {
    pub fn of(entity: &'e Entity<'x>) -> Self {
        Self { entity, disposition: entity.field("Content-Disposition").map(Disposition::parse) }
    }

    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|disposition| disposition.kind == "attachment")
    }

    pub fn is_inline(&self) -> bool {
        self.disposition.as_ref().is_some_and(|disposition| disposition.kind == "inline")
    }

    pub fn is_named(&self) -> bool {
        !self.name().is_empty()
    }

    /// The file's name, as one line.
    pub fn name(&self) -> String {
        let disposition = self.disposition.as_ref();
        let told = disposition
            .and_then(|disposition| disposition.parameter("filename").or_else(|| disposition.parameter("name")))
            .filter(|name| !name.trim().is_empty())
            .or_else(|| self.entity.content_type.parameter("name"))
            .or_else(|| self.entity.content_type.parameter("filename"));
        told.map(|name| name.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    }

    fn encoding(&self) -> TransferEncoding {
        TransferEncoding::named(self.entity.field("Content-Transfer-Encoding"))
    }

    /// The bytes with the transfer encoding undone.
    pub fn bytes(&self) -> Cow<'x, [u8]> {
        self.encoding().decode(self.entity.body)
    }

    /// Text that a person can read, and its language if it is told.
    pub fn text(&self, defects: &mut Vec<String>) -> (String, Option<String>) {
        let content_type = &self.entity.content_type;
        let is_html = content_type.is("text", "html");
        let bytes = match self.encoding() {
            TransferEncoding::Base64 => {
                let (mut bytes, end) = transfer::base64(self.entity.body);
                let below = self.entity.body.get(end..).unwrap_or_default().trim_ascii();
                if !below.is_empty() {
                    bytes.push(b'\n');
                    bytes.extend_from_slice(below);
                }
                Cow::Owned(bytes)
            }
            other => other.decode(self.entity.body),
        };
        let declared = content_type.parameter("charset");
        let decoded = unicode(bytes, declared, is_html, defects);
        let text = if is_html {
            html::to_text(&decoded)
        } else if content_type.is("text", "enriched") || content_type.is("text", "richtext") {
            html::from_enriched(&decoded)
        } else if content_type.parameter("format").is_some_and(|format| format.eq_ignore_ascii_case("flowed")) {
            let delete_space = content_type.parameter("delsp").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
            flowed::unflow(&decoded, delete_space)
        } else if decoded.contains('\r') {
            decoded.replace("\r\r\n", "\n").replace("\r\n", "\n").replace('\r', "\n")
        } else {
            decoded
        };
        let language = self.entity.field("Content-Language").map(|tag| header::decode_text(tag, None));
        (text, language.filter(|tag| is_language_tag(tag)))
    }
}

fn is_language_tag(tag: &str) -> bool {
    (2..=17).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Bytes as valid Unicode: taken as they are where nothing can be wrong, else with what is known of wrong declarations.
fn unicode(bytes: Cow<'_, [u8]>, declared: Option<&str>, is_html: bool, defects: &mut Vec<String>) -> String {
    let label = declared.unwrap_or_default().trim().to_ascii_lowercase();
    let utf8 = matches!(label.as_str(), "utf-8" | "utf8");
    let plain = memchr::memchr2(0x1b, 0, &bytes).is_none();
    if plain && (utf8 || (bytes.is_ascii() && !gives_ascii_a_meaning(&label))) {
        match String::from_utf8(bytes.into_owned()) {
            Ok(text) => return text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text),
            Err(error) => {
                let decoded = charset::decode(error.as_bytes(), declared, is_html);
                defects.extend(decoded.defect);
                return decoded.text;
            }
        }
    }
    let decoded = charset::decode(&bytes, declared, is_html);
    defects.extend(decoded.defect);
    decoded.text
}

/// In these charsets bytes below 128 are more than ASCII.
fn gives_ascii_a_meaning(label: &str) -> bool {
    ["utf-7", "unicode", "utf-16", "utf-32", "ucs", "hz", "iso-2022", "csiso2022"]
        .iter()
        .any(|name| label.starts_with(name))
}

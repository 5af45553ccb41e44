//! The body: which part is what the person wrote, what is attached, what reports and nested messages say.

use super::{
    charset,
    header::{self, Fields},
    html,
    kind::Reports,
};
use mail_parser::{
    Encoding, Message, MessagePart, MimeHeaders, PartType,
    decoders::{base64::base64_decode, quoted_printable::quoted_printable_decode},
};
use outcry_domain::channel::Attachment;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Attachments beyond this many are counted in a defect, not listed.
const MAX_ATTACHMENTS: usize = 200;

/// How deep forwarded messages are opened for their attachments' descriptions.
const MAX_NESTED: usize = 4;

/// What a walk over the parts found.
#[derive(Default)]
pub(super) struct Body {
    /// Readable text of the parts that the person wrote.
    pub text: String,
    /// `text` was made from HTML.
    pub from_html: bool,
    pub attachments: Vec<Attachment>,
    pub reports: Reports,
    /// Message-ID, References and recipients of the mail that a report returns.
    pub returned: Option<Returned>,
    /// `smime` or `pgp`.
    pub wrapper: Option<&'static str>,
    /// Content-Language of the body, if it is one tag.
    pub language: Option<String>,
    pub defects: Vec<String>,
}

/// The mail that came back, as the report quotes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Returned {
    pub message_id: Option<String>,
    pub root: Option<String>,
    pub recipient: Option<String>,
}

/// Reads the body of a parsed message.
pub(super) fn read(message: &Message<'_>) -> Body {
    let mut body = Body::default();
    let plain = texts(message, &message.text_body, &mut body);
    body.text = plain.text;
    body.from_html = plain.from_html;
    if body.text.trim().is_empty() {
        let rich = texts(message, &message.html_body, &mut body);
        body.text = rich.text;
        body.from_html = true;
    }
    walk(message, 0, &mut body);
    if body.text.trim().is_empty() {
        last_resort(message, &mut body);
    }
    if body.wrapper.is_none() && body.text.contains("-----BEGIN PGP MESSAGE-----") {
        body.wrapper = Some("pgp");
    }
    body.defects.dedup();
    body
}

#[derive(Default)]
struct Texts {
    text: String,
    from_html: bool,
}

fn texts(message: &Message<'_>, ids: &[u32], body: &mut Body) -> Texts {
    let mut found = Texts::default();
    for part in ids.iter().filter_map(|id| message.part(*id)) {
        let is_html = match part.body {
            PartType::Text(_) => false,
            PartType::Html(_) => true,
            _ => continue,
        };
        let decoded = part_text(part, message, is_html, &mut body.defects);
        let text = if is_html { Cow::Owned(html::to_text(&decoded)) } else { unflow(part, &decoded) };
        if text.trim().is_empty() {
            continue;
        }
        if !found.text.is_empty() {
            found.text.push('\n');
        }
        found.from_html |= is_html;
        found.text.push_str(&text);
        if body.language.is_none() {
            body.language =
                part.content_language().as_text().map(|tag| tag.trim().to_owned()).filter(|tag| is_language_tag(tag));
        }
    }
    found
}

fn is_language_tag(tag: &str) -> bool {
    (2..=17).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A part's text as valid Unicode. mail-parser's own decoding is taken where it cannot be wrong; else the bytes are
/// decoded again with what is known of wrong and missing declarations.
fn part_text<'x>(
    part: &'x MessagePart<'_>,
    message: &'x Message<'_>,
    is_html: bool,
    defects: &mut Vec<String>,
) -> Cow<'x, str> {
    let parsed = match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.as_ref(),
        _ => "",
    };
    let declared = part.content_type().and_then(|content_type| content_type.attribute("charset"));
    let utf8_or_none = declared.is_none_or(|label| {
        let label = label.trim();
        label.eq_ignore_ascii_case("utf-8") || label.eq_ignore_ascii_case("us-ascii")
    });
    let clean = !parsed.contains(['\u{FFFD}', '\u{1b}', '\0']);
    if clean
        && utf8_or_none
        && (parsed.is_ascii() || declared.is_some_and(|label| label.trim().eq_ignore_ascii_case("utf-8")))
    {
        return Cow::Borrowed(parsed);
    }
    let Some(bytes) = transfer_decoded(part, &message.raw_message) else {
        return Cow::Borrowed(parsed);
    };
    let decoded = charset::decode(&bytes, declared, is_html);
    defects.extend(decoded.defect);
    Cow::Owned(decoded.text)
}

/// The part's bytes with the transfer encoding undone.
fn transfer_decoded<'x>(part: &MessagePart<'_>, raw: &'x [u8]) -> Option<Cow<'x, [u8]>> {
    let bytes = raw.get(part.offset_body as usize..part.offset_end as usize)?;
    match part.encoding {
        Encoding::None => Some(Cow::Borrowed(bytes)),
        Encoding::QuotedPrintable => quoted_printable_decode(bytes).map(Cow::Owned),
        Encoding::Base64 => {
            Some(Cow::Owned(base64_decode(bytes).unwrap_or_else(|| header::decode_base64_leniently(bytes))))
        }
    }
}

/// Joins the soft line breaks of `format=flowed` (RFC 3676), so that a sentence is one line again.
fn unflow<'x>(part: &MessagePart<'_>, text: &'x str) -> Cow<'x, str> {
    let attribute = |name| part.content_type().and_then(|content_type| content_type.attribute(name));
    if !attribute("format").is_some_and(|format| format.eq_ignore_ascii_case("flowed")) {
        return Cow::Borrowed(text);
    }
    let delete_space = attribute("delsp").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let mut output = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let quotes = line.bytes().take_while(|byte| *byte == b'>').count();
        let content = line.get(quotes..).unwrap_or_default();
        let content = content.strip_prefix(' ').unwrap_or(content);
        let signature = content == "-- ";
        let continues = open == Some(quotes) && !signature;
        if !continues {
            if !output.is_empty() {
                output.push('\n');
            }
            output.extend(std::iter::repeat_n('>', quotes));
            if quotes > 0 {
                output.push(' ');
            }
        }
        let flowed = content.ends_with(' ') && !signature;
        output.push_str(if flowed && delete_space {
            content.get(..content.len() - 1).unwrap_or(content)
        } else {
            content
        });
        open = flowed.then_some(quotes);
    }
    Cow::Owned(output)
}

fn walk(message: &Message<'_>, nested: usize, body: &mut Body) {
    let base = message.raw_message.as_ref();
    if nested == 0 {
        note_wrapper(message, body);
    }
    for (index, part) in message.parts.iter().enumerate() {
        let id = u32::try_from(index).unwrap_or(u32::MAX);
        note_report(part, base, body);
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Text(_) | PartType::Html(_) => {
                if nested == 0 && (message.text_body.contains(&id) || message.html_body.contains(&id)) && !named(part) {
                    continue;
                }
                // A mail of a header alone has an empty root.
                if nested == 0 && index == 0 && !named(part) && part.contents().is_empty() {
                    continue;
                }
                // The root of a forwarded message is its text, which the forward's description covers.
                if nested > 0 && !named(part) {
                    continue;
                }
                attach(part, part.contents(), body);
            }
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => attach(part, bytes, body),
            PartType::Message(inner) => {
                let bytes = transfer_decoded(part, base).unwrap_or_default();
                attach_message(part, inner, &bytes, body);
                if body.reports.delivery && body.returned.as_ref().is_none_or(|returned| returned.message_id.is_none())
                {
                    note_returned(inner, body);
                }
                if nested < MAX_NESTED {
                    walk(inner, nested + 1, body);
                }
            }
        }
    }
}

fn named(part: &MessagePart<'_>) -> bool {
    part.content_disposition().is_some_and(|disposition| disposition.is_attachment())
        || part.attachment_name().is_some_and(|name| !name.trim().is_empty())
}

fn media_type(part: &MessagePart<'_>) -> String {
    match part.content_type() {
        Some(content_type) => {
            format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or("*")).to_ascii_lowercase()
        }
        None => "text/plain".to_owned(),
    }
}

fn attach(part: &MessagePart<'_>, bytes: &[u8], body: &mut Body) {
    let name = part.attachment_name().map(|name| header::decode_text(name.as_bytes())).unwrap_or_default();
    push_attachment(name, media_type(part), bytes, body);
}

fn attach_message(part: &MessagePart<'_>, inner: &Message<'_>, bytes: &[u8], body: &mut Body) {
    let told = part.attachment_name().map(|name| header::decode_text(name.as_bytes()));
    let name = told.or_else(|| inner.subject().map(|subject| format!("{subject}.eml"))).unwrap_or_default();
    push_attachment(name, "message/rfc822".into(), bytes, body);
}

/// Describes an attachment; its bytes stay in the mailbox.
pub(super) fn push_attachment(name: String, media_type: String, bytes: &[u8], body: &mut Body) {
    if body.attachments.len() >= MAX_ATTACHMENTS {
        if body.attachments.len() == MAX_ATTACHMENTS
            && !body.defects.iter().any(|defect| defect.starts_with("more than"))
        {
            body.defects.push(format!("more than {MAX_ATTACHMENTS} attachments; the rest are not listed"));
        }
        return;
    }
    body.attachments.push(Attachment {
        name: name.chars().filter(|c| !c.is_control()).take(255).collect(),
        media_type: media_type.chars().take(127).collect(),
        size: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(bytes)),
    });
}

fn note_wrapper(message: &Message<'_>, body: &mut Body) {
    let Some(content_type) = message.parts.first().and_then(MimeHeaders::content_type) else {
        return;
    };
    let subtype = content_type.subtype().unwrap_or_default().to_ascii_lowercase();
    let protocol = content_type.attribute("protocol").unwrap_or_default().to_ascii_lowercase();
    body.wrapper = match (content_type.ctype().to_ascii_lowercase().as_str(), subtype.as_str()) {
        ("application", "pkcs7-mime" | "x-pkcs7-mime") => Some("smime"),
        ("multipart", "signed") if protocol.contains("pkcs7") => Some("smime"),
        ("multipart", "signed" | "encrypted") if protocol.contains("pgp") => Some("pgp"),
        _ => None,
    };
}

fn note_report(part: &MessagePart<'_>, raw: &[u8], body: &mut Body) {
    let Some(content_type) = part.content_type() else {
        return;
    };
    let subtype = content_type.subtype().unwrap_or_default().to_ascii_lowercase();
    let report = content_type.attribute("report-type").unwrap_or_default().to_ascii_lowercase();
    match (content_type.ctype().to_ascii_lowercase().as_str(), subtype.as_str()) {
        ("multipart", "report") if report == "delivery-status" => body.reports.delivery = true,
        ("multipart", "report") if report == "disposition-notification" => body.reports.disposition = true,
        ("message", "disposition-notification") => {
            body.reports.disposition = true;
            let text = transfer_decoded(part, raw).unwrap_or_default();
            let returned = body.returned.get_or_insert_default();
            returned.message_id =
                returned.message_id.take().or_else(|| report_field(&text, "original-message-id").map(bare_id));
        }
        ("message", "delivery-status" | "global-delivery-status") => {
            body.reports.delivery = true;
            let text = transfer_decoded(part, raw).unwrap_or_default();
            body.reports.action = report_field(&text, "action").map(|action| action.to_ascii_lowercase());
            let recipient =
                report_field(&text, "original-recipient").or_else(|| report_field(&text, "final-recipient"));
            let returned = body.returned.get_or_insert_default();
            returned.recipient =
                recipient.as_deref().and_then(|value| header::clean_address(value.rsplit(';').next()?));
        }
        ("text", "rfc822-headers") => {
            let text = transfer_decoded(part, raw).unwrap_or_default();
            let mut owned = text.into_owned();
            owned.extend_from_slice(b"\r\n\r\n");
            if let Some(inner) = mail_parser::MessageParser::default().parse_headers(&owned) {
                note_returned(&inner, body);
            }
        }
        _ => {}
    }
}

fn bare_id(text: String) -> String {
    text.trim().trim_matches(['<', '>']).to_owned()
}

/// The value of a field in a report's groups of header-like lines.
fn report_field(text: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn note_returned(inner: &Message<'_>, body: &mut Body) {
    let fields = Fields::of(inner);
    let returned = body.returned.get_or_insert_default();
    returned.message_id = fields.ids("Message-ID").into_iter().next();
    returned.root =
        fields.ids("References").into_iter().next().or_else(|| fields.ids("In-Reply-To").into_iter().next());
    if returned.recipient.is_none() {
        returned.recipient = fields.mailboxes("To").into_iter().next().map(|mailbox| mailbox.address);
    }
}

/// A mail whose text lies where no one looks: the only text part is marked as an attachment, or the structure is broken.
fn last_resort(message: &Message<'_>, body: &mut Body) {
    let ids: Vec<u32> = (0..u32::try_from(message.parts.len()).unwrap_or(0)).collect();
    let candidates: Vec<u32> = ids
        .into_iter()
        .filter(|id| {
            message.part(*id).is_some_and(|part| {
                matches!(part.body, PartType::Text(_) | PartType::Html(_)) && part.attachment_name().is_none()
            })
        })
        .collect();
    if candidates.is_empty() {
        return;
    }
    let found = texts(message, &candidates, body);
    if !found.text.trim().is_empty() {
        body.defects.push("the text stood in a part that is not meant to be shown".into());
        body.text = found.text;
        body.from_html = found.from_html;
    }
}

//! The body: which part is what the person wrote, what is attached, what reports and enclosed messages say.

mod flowed;
mod leaf;
mod report;

use super::{
    address::Mailbox,
    header::Fields,
    html,
    kind::Reports,
    mime::{self, Entity},
    smime, tnef, transfer,
};
use leaf::{Leaf, is_shown_type};
use outcry_domain::channel::Attachment;
use sha2::{Digest, Sha256};

pub(super) use report::{Returned, complete_bounce};

/// Attachments beyond this many are counted in a defect, not listed.
const MAX_ATTACHMENTS: usize = 200;

/// How deep enclosed messages are opened for their attachments' descriptions.
const MAX_NESTED: usize = 4;

/// Files that stand within a text, as they were sent before MIME.
const MAX_INLINE_FILES: usize = 50;

/// What a walk over the parts found.
#[derive(Default)]
pub(super) struct Body {
    /// Readable text of the parts that the person wrote.
    pub text: String,
    pub attachments: Vec<Attachment>,
    pub reports: Reports,
    /// Message-ID, References and recipients of the mail that a report returns.
    pub returned: Option<Returned>,
    /// `smime` or `pgp`.
    pub wrapper: Option<&'static str>,
    /// METHOD of the invitation or answer to one that is enclosed.
    pub calendar: Option<String>,
    /// The first message that is enclosed whole.
    pub enclosed: Option<Enclosed>,
    /// Content-Language of the body, if it is one tag.
    pub language: Option<String>,
    pub defects: Vec<String>,
    /// An enclosed message, which may be one that came back.
    candidate: Option<Returned>,
    /// What an enclosed invitation says, for a mail that says nothing else.
    invitation: String,
    /// What a winmail.dat says, for the same.
    packed: String,
}

/// A message within the mail.
pub(super) struct Enclosed {
    pub from: Option<Mailbox>,
    pub text: String,
}

/// The charset that the first part with one declares; unencoded bytes of the header are probably of the same.
pub(super) fn charset_hint<'e>(entity: &'e Entity<'_>) -> Option<&'e str> {
    let own = entity.content_type.parameter("charset").filter(|label| !label.eq_ignore_ascii_case("us-ascii"));
    own.or_else(|| entity.children.iter().find_map(charset_hint))
}

/// Reads the body of a mail.
pub(super) fn read(root: &Entity<'_>) -> Body {
    let mut body = Body { wrapper: wrapper(root), ..Body::default() };
    body.text = Walk { body: &mut body, nested: 0 }.message(root);
    if body.text.trim().is_empty() {
        body.text = std::mem::take(&mut body.packed);
    }
    if body.text.trim().is_empty() && !body.reports.any() {
        body.text = match &body.enclosed {
            Some(enclosed) if !enclosed.text.trim().is_empty() => enclosed.text.clone(),
            _ => std::mem::take(&mut body.invitation),
        };
    }
    body.text = body.unwrap_armour();
    let mut seen = Vec::new();
    body.defects.retain(|defect| {
        let new = !seen.contains(defect);
        seen.push(defect.clone());
        new
    });
    body
}

impl Body {
    /// A text signed with PGP without MIME: the text alone. What is encrypted stays as it is.
    fn unwrap_armour(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        if !text.contains("-----BEGIN PGP ") {
            return text;
        }
        if text.contains("-----BEGIN PGP MESSAGE-----") {
            self.wrapper = self.wrapper.or(Some("pgp"));
        }
        let Some((before, rest)) = text.split_once("-----BEGIN PGP SIGNED MESSAGE-----") else {
            return text;
        };
        self.wrapper = self.wrapper.or(Some("pgp"));
        let Some((signed, after)) = rest.split_once("-----BEGIN PGP SIGNATURE-----") else {
            return text;
        };
        let below = after.split_once("-----END PGP SIGNATURE-----").map_or("", |(_, below)| below);
        // The armour's own header ends with an empty line; a line that begins with a dash was escaped (RFC 4880, 7.1).
        let mut lines =
            signed.lines().skip(1).skip_while(|line| line.starts_with("Hash:") || line.starts_with("NotDashEscaped"));
        let first = lines.next().filter(|line| !line.trim().is_empty());
        let lines = first.into_iter().chain(lines).map(|line| line.strip_prefix("- ").unwrap_or(line));
        let inner = lines.collect::<Vec<_>>().join("\n");
        [before.trim(), inner.trim_end(), below.trim()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    /// Describes an attachment; its bytes stay in the mailbox.
    pub fn attach(&mut self, name: &str, media_type: &str, bytes: &[u8]) {
        if self.attachments.len() >= MAX_ATTACHMENTS {
            let told = format!("more than {MAX_ATTACHMENTS} attachments; the rest are not listed");
            if !self.defects.contains(&told) {
                self.defects.push(told);
            }
            return;
        }
        self.attachments.push(Attachment {
            name: name.chars().filter(|c| !c.is_control()).take(255).collect(),
            media_type: media_type.chars().take(127).collect(),
            size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        });
    }
}

fn wrapper(root: &Entity<'_>) -> Option<&'static str> {
    let content_type = &root.content_type;
    let protocol = content_type.parameter("protocol").unwrap_or_default().to_ascii_lowercase();
    match (content_type.kind.as_str(), content_type.subtype.as_str()) {
        ("application", "pkcs7-mime" | "x-pkcs7-mime") => Some("smime"),
        ("application", "octet-stream") if Leaf::of(root).name().to_ascii_lowercase().ends_with(".p7m") => {
            Some("smime")
        }
        ("multipart", "signed") if protocol.contains("pkcs7") => Some("smime"),
        ("multipart", "signed" | "encrypted") if protocol.contains("pgp") => Some("pgp"),
        // A list may wrap what was signed.
        ("multipart", "mixed") => root.children.iter().find(|child| child.is_multipart()).and_then(wrapper),
        _ => None,
    }
}

/// One message's parts.
struct Walk<'b> {
    body: &'b mut Body,
    /// How many messages enclose this one.
    nested: usize,
}

impl Walk<'_> {
    /// The text to show, with everything else listed as attached.
    fn message(&mut self, root: &Entity<'_>) -> String {
        let mut shown = Vec::new();
        let mut text = self.show(root, true, &mut shown);
        self.list(root, &shown, false);
        if text.trim().is_empty() && self.nested == 0 {
            text = self.last_resort(root);
        }
        text
    }

    /// Text of a part for reading; the leaves it is made of, or stands for, go to `shown`.
    fn show<'e>(&mut self, entity: &'e Entity<'_>, first: bool, shown: &mut Vec<&'e Entity<'e>>) -> String
    where
        Self: Sized,
    {
        if !entity.is_multipart() {
            return self.show_leaf(entity, first, shown);
        }
        match entity.content_type.subtype.as_str() {
            "alternative" => self.show_alternative(entity, first, shown),
            "related" => {
                let start = entity.content_type.parameter("start").map(bare_id);
                let is_start = |child: &&Entity<'_>| {
                    let id = child.field("Content-ID").map(|id| String::from_utf8_lossy(id).into_owned());
                    id.as_deref().map(bare_id).is_some_and(|id| start == Some(id))
                };
                let main = entity.children.iter().find(is_start).or_else(|| entity.children.first());
                main.map(|main| self.show(main, first, shown)).unwrap_or_default()
            }
            "report" | "signed" | "encrypted" | "appledouble" => {
                entity.children.first().map(|child| self.show(child, first, shown)).unwrap_or_default()
            }
            _ => self.show_mixed(entity, first, shown),
        }
    }

    fn show_mixed<'e>(&mut self, entity: &'e Entity<'_>, first: bool, shown: &mut Vec<&'e Entity<'e>>) -> String {
        let mut text = String::new();
        for (index, child) in entity.children.iter().enumerate() {
            let more = self.show(child, first && index == 0, shown);
            // Some software calls mixed what is alternative.
            let again = child.content_type.is("text", "html") && says_the_same(&text, &more);
            if more.trim().is_empty() || again {
                continue;
            }
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&more);
        }
        text
    }

    /// The plain form, unless it says nothing; then the richest.
    fn show_alternative<'e>(&mut self, entity: &'e Entity<'_>, first: bool, shown: &mut Vec<&'e Entity<'e>>) -> String {
        let mut plain = String::new();
        for child in entity.children.iter().filter(|child| !is_rich(child)) {
            let text = self.show(child, first, shown);
            if plain.trim().is_empty() {
                plain = text;
            }
        }
        let is_stub = plain.len() < 400 && speaks_of_html(&plain);
        let needed = plain.trim().is_empty() || is_stub;
        let mut rich = String::new();
        for child in entity.children.iter().filter(|child| is_rich(child)).rev() {
            if needed && rich.trim().is_empty() {
                rich = self.show(child, first, shown);
            } else {
                hide(child, shown);
            }
        }
        if rich.trim().is_empty() || (is_stub && rich.len() < plain.len()) { plain } else { rich }
    }

    fn show_leaf<'e>(&mut self, entity: &'e Entity<'_>, first: bool, shown: &mut Vec<&'e Entity<'e>>) -> String {
        let leaf = Leaf::of(entity);
        if entity.content_type.is("application", "pkcs7-mime") || entity.content_type.is("application", "x-pkcs7-mime")
        {
            let bytes = leaf.bytes();
            let Some(signed) = smime::signed_content(&bytes) else {
                return String::new();
            };
            let inner = mime::open(&signed);
            return self.message_within(&inner.root);
        }
        if !is_shown_type(&entity.content_type) || leaf.is_attachment() || (leaf.is_named() && !first) {
            return String::new();
        }
        shown.push(entity);
        let (mut text, language) = leaf.text(&mut self.body.defects);
        self.body.language = self.body.language.take().or(language);
        if entity.content_type.is("text", "plain") {
            self.cut_inline_files(&mut text);
        }
        text
    }

    /// A message that is this one, in a wrapper.
    fn message_within(&mut self, root: &Entity<'_>) -> String {
        let mut shown = Vec::new();
        let text = self.show(root, true, &mut shown);
        self.list(root, &shown, false);
        text
    }

    fn cut_inline_files(&mut self, text: &mut String) {
        for _ in 0..MAX_INLINE_FILES {
            if !text.contains("begin ") {
                return;
            }
            let Some(found) = transfer::uuencoded(text.as_bytes()) else {
                return;
            };
            self.body.attach(&found.name, "application/octet-stream", &found.bytes);
            text.replace_range(found.start..found.end, "");
        }
    }

    /// Lists what is attached, and reads what reports, invitations and enclosed messages say.
    fn list(&mut self, entity: &Entity<'_>, shown: &[&Entity<'_>], alternative: bool) {
        report::note(entity, self.body);
        if entity.is_multipart() {
            let alternative = alternative || entity.content_type.is("multipart", "alternative");
            entity.children.iter().for_each(|child| self.list(child, shown, alternative));
            return;
        }
        let leaf = Leaf::of(entity);
        let is_shown = shown.iter().any(|other| std::ptr::eq(*other, entity));
        if is_shown && !leaf.is_named() {
            return;
        }
        // A mail of a header alone has an empty root, and forwarded messages' texts are covered by their description.
        let unnamed_text = is_shown_type(&entity.content_type) && !leaf.is_named() && !leaf.is_attachment();
        if unnamed_text && (self.nested > 0 || entity.body.trim_ascii().is_empty()) {
            return;
        }
        if is_shown && entity.content_type.is("text", "html") && leaf.is_inline() {
            return;
        }
        self.list_leaf(entity, &leaf);
    }

    fn list_leaf(&mut self, entity: &Entity<'_>, leaf: &Leaf<'_, '_>) {
        let content_type = &entity.content_type;
        let bytes = leaf.bytes();
        let name = leaf.name();
        if content_type.is("message", "rfc822")
            || content_type.is("message", "global")
            || content_type.is("message", "news")
        {
            return self.list_message(&name, &bytes);
        }
        let lower = name.to_ascii_lowercase();
        if content_type.is("application", "ms-tnef")
            || content_type.is("application", "vnd.ms-tnef")
            || lower == "winmail.dat"
        {
            if let Some(packed) = tnef::read(&bytes) {
                packed.attachments.iter().for_each(|file| self.body.attach(&file.name, &file.media_type, &file.bytes));
                if self.nested == 0 && self.body.packed.is_empty() {
                    self.body.packed = packed.text;
                }
                return;
            }
            self.body.defects.push("a winmail.dat cannot be read".into());
        }
        if self.nested == 0 && (content_type.is("text", "calendar") || lower.ends_with(".ics")) {
            let (text, _) = leaf.text(&mut self.body.defects);
            report::note_calendar(&text, content_type.parameter("method"), self.body);
        }
        let named = if name.is_empty() { content_type.parameter("name").unwrap_or_default() } else { &name };
        self.body.attach(named, &content_type.media_type(), &bytes);
    }

    fn list_message(&mut self, name: &str, bytes: &[u8]) {
        let inner = mime::open(bytes);
        let fields = Fields::of(inner.root.header, charset_hint(&inner.root));
        let told = match fields.text("Subject") {
            Some(subject) if name.is_empty() => format!("{subject}.eml"),
            _ => name.to_owned(),
        };
        self.body.attach(&told, "message/rfc822", bytes);
        report::note_returned(&fields, self.body);
        if self.nested >= MAX_NESTED {
            self.body.defects.push("messages are nested too deeply; the innermost were not read".into());
            return;
        }
        let text = Walk { body: &mut *self.body, nested: self.nested + 1 }.message(&inner.root);
        if self.nested == 0 && self.body.enclosed.is_none() {
            self.body.enclosed = Some(Enclosed { from: super::parties::author(&fields), text });
        }
    }

    /// A mail whose text lies where no one looks: in parts that are marked as attachments or come after another.
    fn last_resort(&mut self, root: &Entity<'_>) -> String {
        if self.body.reports.any() || !self.body.packed.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        let mut left = vec![root];
        while let Some(entity) = left.pop() {
            left.extend(entity.children.iter().rev());
            let leaf = Leaf::of(entity);
            if is_shown_type(&entity.content_type) && !leaf.is_named() {
                let (more, _) = leaf.text(&mut Vec::new());
                if !more.trim().is_empty() {
                    text.push_str(&more);
                    text.push('\n');
                }
            }
        }
        if !text.trim().is_empty() {
            self.body.defects.push("the text stood in a part that is not meant to be shown".into());
        }
        text
    }
}

fn bare_id(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

/// `true` for HTML, and for what holds nothing plainer first.
fn is_rich(entity: &Entity<'_>) -> bool {
    match entity.children.first() {
        Some(first) => is_rich(first),
        None => !entity.content_type.is("text", "plain"),
    }
}

/// Passes over the unshown texts of a form that another stands for.
fn hide<'e>(entity: &'e Entity<'_>, shown: &mut Vec<&'e Entity<'e>>) {
    if is_shown_type(&entity.content_type) && !Leaf::of(entity).is_attachment() {
        shown.push(entity);
    }
    entity.children.iter().for_each(|child| hide(child, shown));
}

/// "Your program cannot show HTML": a plain form that only points to the other.
fn speaks_of_html(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["html", "view this email in your browser", "view this message in"].iter().any(|word| lower.contains(word))
}

fn says_the_same(plain: &str, rich: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).take(200).collect::<String>();
    let plain = letters(plain);
    plain.len() >= 20 && plain == letters(rich)
}

/// HTML as text, for those who read parts themselves.
pub(super) fn html_text(source: &str) -> String {
    html::to_text(source)
}

//! A raw mail to an item: pure, total, and the same for the same bytes.
//!
//! [`parse_mail`] never fails. What cannot be read is named in the item's defects; what is not a mail at all is an item
//! whose text is whatever the bytes hold. `outcry parse-email` is this module's face.
//!
//! What breaks such parsers (mission map, §2), and the test that protects against it:
//!
//! | case | test |
//! |---|---|
//! | 9, 11: no Message-ID | `a_mail_without_a_message_id_is_a_contact_and_a_case` |
//! | 10: one Message-ID on different mails | `two_mails_with_one_message_id_are_two_contacts` |
//! | 12: one mail in two mailboxes | `one_mail_in_two_mailboxes_is_two_items_of_one_contact` |
//! | 13: a mail that cannot be parsed | `garbage_of_every_sort_is_an_item_with_defects`, and `tests/fuzz.rs` |
//! | 14: empty or broken From, SMTPUTF8 | `an_empty_or_broken_from_is_still_a_contact`, `address_fields_are_read_however_they_are_written` |
//! | 16: winmail.dat | `winmail_dat_gives_its_body_and_attachments` |
//! | 17: ISO-2022-JP not declared, with vendor characters, in quoted-printable | `japanese_without_a_charset_is_text`, `iso_2022_jp_with_vendor_characters_is_readable`, `japanese_in_quoted_printable_is_text` |
//! | 18: gb2312 that is GBK, windows-1250 in HTML | `chinese_beyond_gb2312_under_that_name_is_text`, `html_in_windows_1250_named_by_its_meta_element_is_text` |
//! | 19: automatic answers, no-reply senders | `headers_of_automatic_mail_are_believed`, `out_of_office_answers_of_ten_languages_are_automatic` |
//! | 20: bounces without standard headers, RFC 3464 | `a_bounce_tells_its_status_and_the_failed_address_in_its_own_words`, `a_delivery_report_is_tied_to_the_mail_and_the_customer_it_is_about` |
//! | 21: Precedence bulk | `precedence_bulk_keeps_the_complaint` |
//! | 22: ticket number in a stranger's subject | `a_ticket_number_in_the_subject_joins_nothing` |
//! | 23: forged In-Reply-To, forged headers of help desks | `a_strangers_forged_reply_opens_a_case_of_its_own`, `headers_of_other_help_desks_are_not_obeyed` |
//! | 24: References to mail never seen, Thread-Index | `answers_to_a_mail_we_never_saw_are_one_case`, `headers_of_other_help_desks_are_not_obeyed` |
//! | 25: reply to a merged case | `references_come_before_in_reply_to`: a reply names its own root; merging is a link in the warehouse |
//! | 26: inline replies, `<a@b>` in text | `an_answer_between_quoted_lines_is_not_lost`, `answers_within_an_unmarked_quotation_are_kept`, `addresses_in_angle_brackets_and_arrows_are_not_touched` |
//! | 27: forward by staff | `a_complaint_forwarded_by_staff_is_the_customers`, `a_complaint_forwarded_as_an_attachment_is_the_customers`, `a_forward_by_outlook_with_a_note_above_is_the_customers` |
//! | 28: Date in the future or unreadable | `an_unreadable_date_is_1970_and_a_future_one_does_not_move_the_clock` |

mod address;
mod body;
mod charset;
mod date;
mod header;
mod html;
mod kind;
mod mime;
mod params;
mod parties;
mod reply;
mod rtf;
mod smime;
#[cfg(test)]
mod tests;
mod tnef;
mod transfer;

use body::Body;
use header::Fields;
use kind::Kind;
use mime::Structure;
use outcry_domain::{
    AuthorKind, Brand, CaseId, Channel, ContactId, CustomerKey, Item, ItemId, Mail, Origin, SCHEMA_VERSION, Timestamp,
    channel::AutomaticMail, item::effective_time,
};
use parties::Parties;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Text beyond this many characters is cut, and the item says so.
pub const MAX_TEXT_CHARS: usize = 1 << 20;

/// Quoted text beyond this many characters is cut; it is context, not content.
pub const MAX_QUOTED_CHARS: usize = 1 << 18;

/// What a folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FolderKind {
    /// Mail that reached us.
    #[default]
    Inbound,
    /// Mail that we sent.
    Sent,
}

/// What is known of a mail beside its bytes.
#[derive(Clone, Debug)]
pub struct ParseContext<'a> {
    /// Who is "us".
    pub brand: &'a Brand,
    /// The configured account, `email:NAME`.
    pub source: &'a str,
    /// What the folder holds.
    pub folder: FolderKind,
    /// Where the original is, such as `INBOX;UIDVALIDITY=1;UID=7`.
    pub location: Option<String>,
    /// The server's INTERNALDATE.
    pub internal_date: Option<Timestamp>,
    /// The present; nothing in here asks a clock.
    pub now: Timestamp,
    /// The key that customers' addresses are hashed under.
    pub key: &'a CustomerKey,
    /// Read from the past on request.
    pub backfill: bool,
    /// Connector and release, for the item's origin.
    pub connector: &'a str,
    /// Size of the whole mail, when the bytes at hand are only its beginning.
    pub whole_size: Option<u64>,
}

/// Reads a raw mail into an item. Total: any bytes give an item, and the same bytes give the same ids.
pub fn parse_mail(raw: &[u8], context: &ParseContext<'_>) -> Item {
    // The parsers below are total as far as their tests go; a mailbox must not stop at the input that shows otherwise.
    let lines = with_line_ends(raw);
    catch_unwind(AssertUnwindSafe(|| read(raw, context, mime::open(&lines)))).unwrap_or_else(|_| {
        let mut item = read(raw, context, Structure { root: mime::text(raw), defects: Vec::new() });
        add_defect(&mut item, "the structure could not be read; this is the raw text".into());
        item
    })
}

/// Mail that ends its lines with CR alone, as old Macs and some gateways do, gets line ends that can be seen.
fn with_line_ends(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\n', raw).is_some() || memchr::memchr(b'\r', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect())
}

fn add_defect(item: &mut Item, defect: String) {
    if let Some(mail) = &mut item.mail {
        mail.defects.push(defect);
    }
}

fn read(raw: &[u8], context: &ParseContext<'_>, structure: Structure<'_>) -> Item {
    let root = &structure.root;
    let fields = Fields::of(root.header, body::charset_hint(root));
    let mut body = body::read(root);
    body.defects.extend(structure.defects.iter().map(|defect| (*defect).to_owned()));
    let subject = fields.text("Subject").map(|subject| clean(&subject, 2000).0);
    let from = parties::author(&fields);
    let forwards = subject.as_deref().is_some_and(reply::is_forward_subject)
        || parties::is_internal(&fields, from.as_ref(), context);
    let split = reply::split(&body.text, forwards);
    let kind = kind::kind(&fields, from.as_ref(), subject.as_deref().unwrap_or_default(), &body.reports);
    if kind.automatic == Some(AutomaticMail::Bounce) {
        let to = fields.mailboxes("To");
        let ours: Vec<&str> = to.iter().chain(&from).map(|mailbox| mailbox.address.as_str()).collect();
        body::complete_bounce(&mut body, &fields, &ours);
    }
    let parties = parties::parties(&fields, from, &kind, &body, &split, context);
    let (text, text_cut) = clean(&with_enclosed(split.text, &body, &parties), MAX_TEXT_CHARS);
    let (quoted_text, _) = clean(&split.removed, MAX_QUOTED_CHARS);
    let date = fields.first("Date");
    let occurred_at = date.and_then(date::parse_date).unwrap_or(Timestamp::UNKNOWN);
    if date.is_some() && occurred_at.is_unknown() {
        body.defects.push("the Date field cannot be read".into());
    }
    let received_at = context.internal_date.or_else(|| last_received(&fields)).unwrap_or(context.now);
    let (effective_at, clock_suspect) = effective_time(Channel::Email, occurred_at, received_at, context.backfill);
    let identity = Identity::of(raw, root.body, &fields, &parties, context);
    let customer = parties.customer(context.key, &identity.item_id.to_bytes());
    let root = conversation_root(&fields, &kind, &body, &identity.contact_id);
    let automatic = kind.automatic;
    Item {
        schema_version: SCHEMA_VERSION,
        item_id: identity.item_id,
        contact_id: identity.contact_id,
        case_id: CaseId::new(&context.brand.id, &root, customer.customer_id),
        revision: 0,
        brand: context.brand.id.clone(),
        channel: Channel::Email,
        source: context.source.to_owned(),
        provider: "imap".into(),
        direction: parties.direction,
        author_kind: author_kind(&kind, &fields),
        customer,
        subject,
        text,
        quoted_text,
        language: body.language.take().or_else(|| fields.keyword("Content-Language").filter(|tag| tag.len() <= 17)),
        occurred_at,
        received_at,
        ingested_at: context.now,
        effective_at,
        clock_suspect,
        mail: Some(mail(&fields, parties, kind, body)),
        call: None,
        post: None,
        origin: Origin {
            connector: context.connector.to_owned(),
            raw_size: context.whole_size.unwrap_or(raw.len() as u64),
            raw_sha256: identity.raw_sha256,
            backfill: context.backfill,
            truncated: text_cut || context.whole_size.is_some(),
            location: context.location.clone(),
        },
        unknown_fields: serde_json::Map::new(),
    }
    .checked(automatic)
}

/// The complaint of a mail that staff forwarded as an attachment, below what they say to it.
fn with_enclosed(text: String, body: &Body, parties: &Parties) -> String {
    match &body.enclosed {
        Some(enclosed) if parties.forwarded_by_staff && !text.contains(enclosed.text.trim()) => {
            format!("{text}\n\n{}", enclosed.text)
        }
        _ => text,
    }
}

/// A last look at what a mail must never be.
trait Checked {
    fn checked(self, automatic: Option<AutomaticMail>) -> Self;
}

impl Checked for Item {
    fn checked(mut self, automatic: Option<AutomaticMail>) -> Self {
        if self.text.trim().is_empty()
            && automatic.is_none()
            && self.mail.as_ref().is_some_and(|mail| mail.attachments.is_empty())
        {
            add_defect(&mut self, "no text".into());
        }
        self
    }
}

fn mail(fields: &Fields<'_>, parties: Parties, kind: Kind, body: Body) -> Mail {
    let returned = body.returned.unwrap_or_default();
    let is_bounce = kind.automatic == Some(AutomaticMail::Bounce);
    // A free-form bounce often answers the mail it returns.
    let answered = || fields.ids("In-Reply-To").into_iter().next().or_else(|| fields.ids("References").pop());
    let bounce_of = if is_bounce { returned.message_id.or_else(answered) } else { None };
    Mail {
        message_id: fields.ids("Message-ID").into_iter().next().unwrap_or_default(),
        in_reply_to: fields.ids("In-Reply-To"),
        references: fields.ids("References"),
        from: parties.from.map(|from| from.address).unwrap_or_default(),
        reply_to: parties.reply_to,
        to: parties.to,
        cc: parties.cc,
        automatic: kind.automatic,
        list_id: kind.list_id,
        bulk: kind.bulk,
        bounce_of,
        bounce_status: returned.status.filter(|_| is_bounce),
        calendar: body.calendar,
        forwarded_by_staff: parties.forwarded_by_staff,
        wrapper: body.wrapper.map(str::to_owned),
        attachments: body.attachments,
        defects: body.defects,
    }
}

fn author_kind(kind: &Kind, fields: &Fields<'_>) -> AuthorKind {
    if kind.automatic.is_some() {
        AuthorKind::Automatic
    } else if kind.bulk && kind.list_id.is_none() && fields.first("In-Reply-To").is_none() {
        // A mailing to many: perhaps a newsletter, perhaps a person behind a tool.
        AuthorKind::Unknown
    } else {
        AuthorKind::Human
    }
}

/// The topmost Received field is the last server's; its date stands after the last semicolon.
fn last_received(fields: &Fields<'_>) -> Option<Timestamp> {
    let value = fields.first("Received")?;
    let date = value.rsplit(|byte| *byte == b';').next()?;
    date::parse_date(date)
}

struct Identity {
    item_id: ItemId,
    contact_id: ContactId,
    raw_sha256: String,
}

impl Identity {
    fn of(raw: &[u8], body: &[u8], fields: &Fields<'_>, parties: &Parties, context: &ParseContext<'_>) -> Self {
        let text = |name: &str| {
            fields
                .first(name)
                .map(|value| String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" "))
                .unwrap_or_default()
        };
        let from = match &parties.from {
            Some(from) => from.address.clone(),
            None => text("From"),
        };
        let message_id = fields.ids("Message-ID").into_iter().next().unwrap_or_default();
        let body = normalised_body(body);
        Self {
            item_id: ItemId::of_mail(&context.brand.id, context.source, raw),
            contact_id: ContactId::of_mail(&context.brand.id, &message_id, &from, &text("Date"), &body),
            raw_sha256: hex::encode(Sha256::digest(raw)),
        }
    }
}

/// A digest of the body without what servers change on the way: the kind of line ends and white space at their end.
fn normalised_body(body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut empty = 0usize;
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            empty += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            hasher.update(b"\n");
        }
        hasher.update(line);
        hasher.update(b"\n");
    }
    hasher.finalize().into()
}

/// What the conversation began with. A delivery report belongs to the conversation of the mail that it returns.
/// Ticket numbers in subjects join nothing: anyone can write one.
fn conversation_root(fields: &Fields<'_>, kind: &Kind, body: &Body, contact_id: &ContactId) -> Vec<u8> {
    let returned = match kind.automatic {
        Some(AutomaticMail::Bounce | AutomaticMail::ReadReceipt) => body.returned.as_ref(),
        _ => None,
    };
    returned
        .and_then(|returned| returned.root.clone().or_else(|| returned.message_id.clone()))
        .or_else(|| fields.ids("References").into_iter().next())
        .or_else(|| fields.ids("In-Reply-To").into_iter().next())
        .or_else(|| fields.ids("Message-ID").into_iter().next())
        .map_or_else(|| contact_id.to_bytes().to_vec(), String::into_bytes)
}

/// At most that many characters, without the control characters that no text has; and whether something was cut. NUL
/// becomes U+FFFD, so that its place shows.
fn clean(text: &str, most: usize) -> (String, bool) {
    let text = text.trim();
    let plain = |byte: u8| byte >= b' ' && byte != 0x7f || matches!(byte, b'\n' | b'\t');
    if text.len() <= most && text.bytes().all(plain) {
        return (text.to_owned(), false);
    }
    let mut output = String::with_capacity(text.len().min(most));
    for (count, character) in text.chars().enumerate() {
        if count >= most {
            return (output, true);
        }
        match character {
            '\0' => output.push('\u{FFFD}'),
            '\n' | '\t' => output.push(character),
            '\u{1}'..='\u{1f}' | '\u{7f}' => {}
            other => output.push(other),
        }
    }
    (output, false)
}

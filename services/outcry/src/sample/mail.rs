//! Mails: threads with the brand's answers, copies to a second mailbox, automatic mail, a bounce.

use super::{
    Counts, DOMAIN, MAILBOXES,
    data::{self, Answer, Html, Label, Mail, MailFile, Quote, SampleError, Transfer},
    mime::{self, Part, Unwritable, split_mailbox},
    quote::{Original, Quoting},
};
use jiff::{Zoned, fmt::rfc2822, tz::TimeZone};
use outcry_domain::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Where a mail lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Received.
    Inbox,
    /// Sent by the brand.
    Sent,
}

/// A message to append to a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleMail {
    /// The mailbox's user name, which is its address.
    pub user: String,
    /// The folder.
    pub folder: Folder,
    /// The message as RFC 5322 writes it.
    pub raw: Vec<u8>,
    /// When the server received it.
    pub internal_date: Timestamp,
    /// Message-ID without brackets; copies to two mailboxes share it.
    pub message_id: String,
    /// Message-ID of the conversation's first mail.
    pub root: String,
    /// Written by a machine, or to a list.
    pub automatic: bool,
    /// The writer's language.
    pub language: String,
    /// How a person would label it.
    pub label: Option<Label>,
}

const FILES: [(&str, &str); 8] = [
    ("mail/en.toml", include_str!("../../sample/mail/en.toml")),
    ("mail/it.toml", include_str!("../../sample/mail/it.toml")),
    ("mail/pt.toml", include_str!("../../sample/mail/pt.toml")),
    ("mail/de.toml", include_str!("../../sample/mail/de.toml")),
    ("mail/es.toml", include_str!("../../sample/mail/es.toml")),
    ("mail/fr.toml", include_str!("../../sample/mail/fr.toml")),
    ("mail/ja.toml", include_str!("../../sample/mail/ja.toml")),
    ("mail/zh.toml", include_str!("../../sample/mail/zh.toml")),
];

/// Every mail, oldest first.
pub fn build(now: Timestamp) -> Result<Vec<SampleMail>, SampleError> {
    let quoting = Quoting::load()?;
    let mut mails = Vec::new();
    for (name, content) in FILES {
        let file: MailFile = data::parse(name, content)?;
        let mut writer = Writer {
            now,
            quoting: &quoting,
            zone: data::zone(&file.timezone),
            language: file.language,
            threads: BTreeMap::new(),
            serial: 0,
            out: &mut mails,
        };
        for mail in file.mail {
            writer.conversation(mail)?;
        }
    }
    mails.sort_by_key(|mail| mail.internal_date);
    Ok(mails)
}

/// What must be found of these mails.
pub fn counts(mails: &[SampleMail]) -> Counts {
    let contacts: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    Counts { sent: mails.len(), items: mails.len(), contacts: contacts.len() }
}

/// Conversations that a customer began in person.
pub fn new_cases(mails: &[SampleMail]) -> usize {
    let begun = |mail: &&SampleMail| mail.folder == Folder::Inbox && !mail.automatic && mail.root == mail.message_id;
    mails.iter().filter(begun).map(|mail| mail.root.as_str()).collect::<BTreeSet<_>>().len()
}

/// A message already written, as later ones refer to it.
#[derive(Clone)]
struct Written {
    message_id: String,
    references: Vec<String>,
    from: String,
    to: String,
    subject: String,
    text: String,
    at: Timestamp,
}

/// A message about to be written.
struct Draft<'a> {
    from: &'a str,
    to: String,
    subject: String,
    text: String,
    quoted: String,
    at: Timestamp,
    parent: Option<&'a Written>,
    format: Format<'a>,
}

/// How a message is written down.
struct Format<'a> {
    charset: &'a str,
    transfer: Transfer,
    html: Html,
    attach: &'a [String],
    headers: Vec<(String, String)>,
    bounce: bool,
}

impl Format<'_> {
    const PLAIN: Self = Self {
        charset: "utf-8",
        transfer: Transfer::Auto,
        html: Html::No,
        attach: &[],
        headers: Vec::new(),
        bounce: false,
    };
}

struct Writer<'a> {
    now: Timestamp,
    quoting: &'a Quoting,
    zone: TimeZone,
    language: String,
    threads: BTreeMap<String, Written>,
    serial: usize,
    out: &'a mut Vec<SampleMail>,
}

impl Writer<'_> {
    /// A customer's mail and the brand's answers to it.
    fn conversation(&mut self, mail: Mail) -> Result<(), SampleError> {
        let parent = match &mail.replies_to {
            None => None,
            Some(key) => Some(self.threads.get(key).cloned().ok_or_else(|| SampleError::Reference(key.clone()))?),
        };
        let mut last = self.received(&mail, parent.as_ref())?;
        for answer in &mail.answer {
            last = self.answered(answer, &mail, &last)?;
        }
        if let Some(key) = &mail.replies_to {
            self.threads.insert(key.clone(), last.clone());
        }
        if !mail.key.is_empty() {
            self.threads.insert(mail.key.clone(), last);
        }
        Ok(())
    }

    fn received(&mut self, mail: &Mail, parent: Option<&Written>) -> Result<Written, SampleError> {
        let at = self.now.minus(mail.ago.0);
        let subject = match parent {
            Some(parent) if mail.subject.is_empty() => {
                self.quoting.subject(&self.language, mail.quote, &parent.subject)
            }
            _ => mail.subject.clone(),
        };
        let quoted = self.quoted(mail.quote, parent)?;
        let message_id = self.message_id(split_mailbox(&mail.from).1);
        let draft = Draft {
            from: &mail.from,
            to: address(&mail.to),
            subject,
            text: mail.text.trim().to_owned(),
            quoted,
            at,
            parent,
            format: Format {
                charset: &mail.charset,
                transfer: mail.transfer,
                html: mail.html,
                attach: &mail.attach,
                headers: mail.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
                bounce: mail.bounce,
            },
        };
        let automatic = mail.bounce || mail.headers.keys().any(|name| AUTOMATIC.contains(&name.as_str()));
        let written = draft.written(&message_id);
        for (copy, mailbox) in std::iter::once(&mail.to).chain(&mail.also_to).enumerate() {
            let received_at = at.plus(Duration::from_secs(4 + 3 * copy as u64));
            let mut headers = self.envelope(&mail.from, mailbox, received_at, mail.bounce);
            headers.extend(self.headers(&draft, &message_id)?);
            self.out.push(SampleMail {
                user: address(mailbox),
                folder: Folder::Inbox,
                raw: self.body(&draft, &message_id)?.into_message(&headers),
                internal_date: received_at,
                message_id: message_id.clone(),
                root: written.references.first().unwrap_or(&message_id).clone(),
                automatic,
                language: self.language.clone(),
                label: mail.label,
            });
        }
        Ok(written)
    }

    fn answered(&mut self, answer: &Answer, mail: &Mail, asked: &Written) -> Result<Written, SampleError> {
        // The office answers from one program whose quoting alternates with the mailbox's settings.
        let quote = if self.serial.is_multiple_of(2) { Quote::Gmail } else { Quote::Outlook };
        let from = format!("{} (Marelda) <{}>", answer.agent, address(&mail.to));
        let message_id = self.message_id(&from[from.find('<').unwrap_or(0)..].replace(['<', '>'], ""));
        let draft = Draft {
            from: &from,
            to: mail.from.clone(),
            subject: self.quoting.subject(&self.language, Quote::Gmail, &asked.subject),
            text: answer.text.trim().to_owned(),
            quoted: self.quoted(quote, Some(asked))?,
            at: asked.at.plus(answer.after.0),
            parent: Some(asked),
            format: Format::PLAIN,
        };
        let headers = self.headers(&draft, &message_id)?;
        let written = draft.written(&message_id);
        self.out.push(SampleMail {
            user: address(&mail.to),
            folder: Folder::Sent,
            raw: self.body(&draft, &message_id)?.into_message(&headers),
            internal_date: draft.at,
            root: written.references.first().unwrap_or(&message_id).clone(),
            message_id,
            automatic: false,
            language: self.language.clone(),
            label: None,
        });
        Ok(written)
    }

    fn message_id(&mut self, address: &str) -> String {
        self.serial += 1;
        let host = address.rsplit_once('@').map_or("unknown.example", |(_, host)| host);
        format!("{}.{}{:03}@{host}", data::stamp(self.now), self.language, self.serial)
    }

    fn quoted(&self, style: Quote, parent: Option<&Written>) -> Result<String, SampleError> {
        let Some(parent) = parent else { return Ok(String::new()) };
        let date = self.local(parent.at);
        let original =
            Original { from: &parent.from, to: &parent.to, subject: &parent.subject, text: &parent.text, date: &date };
        self.quoting.quoted(&self.language, style, &original)
    }

    fn local(&self, at: Timestamp) -> Zoned {
        jiff::Timestamp::from(at).to_zoned(self.zone.clone())
    }

    fn date(&self, at: Timestamp) -> String {
        // Only years before 0 cannot be written.
        rfc2822::to_string(&self.local(at)).unwrap_or_default()
    }

    /// What the receiving server adds: it tells two copies of one mail apart.
    fn envelope(&self, from: &str, mailbox: &str, at: Timestamp, bounce: bool) -> Vec<(String, String)> {
        let sender = split_mailbox(from).1;
        let host = sender.rsplit_once('@').map_or("localhost", |(_, host)| host);
        let to = address(mailbox);
        let received = format!(
            "from out.{host} (out.{host} [192.0.2.{}])\r\n by mx1.{DOMAIN} with ESMTPS id {:x}{mailbox}\r\n for <{to}>; {}",
            self.serial % 250 + 1,
            at.as_millis(),
            self.date(at)
        );
        vec![
            ("Return-Path".into(), if bounce { "<>".into() } else { format!("<{sender}>") }),
            ("Delivered-To".into(), to),
            ("Received".into(), received),
        ]
    }

    fn headers(&self, draft: &Draft, message_id: &str) -> Result<Vec<(String, String)>, SampleError> {
        let charset = draft.format.charset;
        let refused = |Unwritable| SampleError::Charset { charset: charset.into(), key: draft.subject.clone() };
        let mut headers = vec![
            ("From".to_owned(), mime::mailbox(charset, draft.from).map_err(refused)?),
            ("To".to_owned(), mime::mailbox(charset, &draft.to).map_err(refused)?),
            ("Subject".to_owned(), mime::header_text(charset, &draft.subject).map_err(refused)?),
            ("Date".to_owned(), self.date(draft.at)),
            ("Message-ID".to_owned(), format!("<{message_id}>")),
        ];
        if let Some(parent) = draft.parent {
            let references: Vec<String> = draft.references().iter().map(|id| format!("<{id}>")).collect();
            headers.push(("In-Reply-To".to_owned(), format!("<{}>", parent.message_id)));
            headers.push(("References".to_owned(), references.join("\r\n ")));
        }
        headers.extend(draft.format.headers.iter().cloned());
        Ok(headers)
    }

    fn body(&self, draft: &Draft, message_id: &str) -> Result<Part, SampleError> {
        let Format { charset, transfer, html, attach, bounce, .. } = draft.format;
        let refused = |Unwritable| SampleError::Charset { charset: charset.into(), key: draft.subject.clone() };
        let boundary = |level: &str| format!("=_{level}_{}", message_id.replace(['@', '.'], "_"));
        let plain = || Part::text("plain", charset, transfer, &format!("{}{}", draft.text, draft.quoted));
        let rich = || Part::text("html", charset, transfer, &html_page(&draft.text, &draft.quoted));
        let body = match html {
            Html::No => plain(),
            Html::Only => rich(),
            Html::Both => {
                let parts = [plain().map_err(refused)?, rich().map_err(refused)?];
                Ok(Part::multipart("alternative", &boundary("alt"), &parts))
            }
        }
        .map_err(refused)?;
        if bounce {
            let parts = [body, delivery_status(draft.parent), returned_headers(draft.parent)];
            return Ok(Part::multipart("report; report-type=delivery-status", &boundary("report"), &parts));
        }
        if attach.is_empty() {
            return Ok(body);
        }
        let parts: Vec<Part> = std::iter::once(body).chain(attach.iter().map(|name| Part::attachment(name))).collect();
        Ok(Part::multipart("mixed", &boundary("mix"), &parts))
    }
}

/// Headers by which a machine, or a list, makes itself known (RFC 3834, RFC 2919, RFC 2369).
const AUTOMATIC: [&str; 4] = ["Auto-Submitted", "X-Autoreply", "List-Id", "Precedence"];

impl Draft<'_> {
    fn references(&self) -> Vec<String> {
        self.parent.map_or_else(Vec::new, |parent| {
            parent.references.iter().chain(std::iter::once(&parent.message_id)).cloned().collect()
        })
    }

    fn written(&self, message_id: &str) -> Written {
        Written {
            message_id: message_id.to_owned(),
            references: self.references(),
            from: self.from.to_owned(),
            to: self.to.clone(),
            subject: self.subject.clone(),
            text: format!("{}{}", self.text, self.quoted),
            at: self.at,
        }
    }
}

fn address(mailbox: &str) -> String {
    debug_assert!(MAILBOXES.contains(&mailbox), "{mailbox} is not one of the brand's mailboxes");
    format!("{mailbox}@{DOMAIN}")
}

/// RFC 3464 §2.
fn delivery_status(returned: Option<&Written>) -> Part {
    let recipient = returned.map_or("", |mail| split_mailbox(&mail.to).1);
    Part::plain(
        "message/delivery-status",
        &format!(
            "Reporting-MTA: dns; mx1.{DOMAIN}\n\nFinal-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n\
             Diagnostic-Code: smtp; 550 5.1.1 <{recipient}> no such user here"
        ),
    )
}

fn returned_headers(returned: Option<&Written>) -> Part {
    let id = returned.map_or("", |mail| &mail.message_id);
    let recipient = returned.map_or("", |mail| split_mailbox(&mail.to).1);
    Part::plain("text/rfc822-headers", &format!("Message-ID: <{id}>\nTo: {recipient}\n"))
}

fn html_page(text: &str, quoted: &str) -> String {
    let mut page = String::from("<html><body>\n");
    page.push_str(&paragraphs(text));
    let mut lines = quoted.trim_start().lines();
    if let Some(intro) = lines.next() {
        let rest: Vec<&str> = lines.map(|line| line.strip_prefix("> ").unwrap_or(line)).collect();
        page.push_str("<div class=\"gmail_quote\"><div class=\"gmail_attr\">");
        page.push_str(&escape(intro));
        page.push_str("</div>\n<blockquote class=\"gmail_quote\">\n");
        page.push_str(&paragraphs(&rest.join("\n")));
        page.push_str("</blockquote></div>\n");
    }
    page.push_str("</body></html>");
    page
}

/// Paragraphs of HTML, where the text has empty lines.
pub(super) fn paragraphs(text: &str) -> String {
    let paragraph = |block: &str| format!("<p>{}</p>\n", escape(block.trim()).replace('\n', "<br>\n"));
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(paragraph).collect()
}

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

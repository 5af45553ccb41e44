//! A receipt as a mail, and as the item that says it was sent.
//!
//! After RFC 3834: `Auto-Submitted: auto-replied`, an empty envelope sender so that no bounce comes back, to the author's
//! address and not to Reply-To (which would let anyone aim our receipts at others). The Message-ID follows from the case:
//! a receipt that is sent twice, because we crashed between the server's 250 and our note of it, is recognised as one mail.

use crate::{error::SendError, template::Receipt};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use outcry_domain::{
    AuthorKind, Channel, ContactId, Direction, Item, ItemId, Mail, Origin, SCHEMA_VERSION, Timestamp,
    channel::AutomaticMail,
};
use sha2::{Digest, Sha256};
use std::time::{Duration, UNIX_EPOCH};

/// The provider's name in items and ids.
pub const PROVIDER: &str = "notifier";
/// More of a conversation's history than a header line should hold.
const MAX_REFERENCES: usize = 10;
const MAX_SUBJECT_CHARS: usize = 200;

/// A mail ready to be handed to a server.
#[derive(Debug)]
pub struct Outgoing {
    /// Who it goes to, and who hears of a bounce.
    pub envelope: Envelope,
    /// The mail, byte for byte.
    pub raw: Vec<u8>,
}

/// What a receipt says, and when it was (or is being) sent.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledgement<'a> {
    /// The customer's mail.
    pub item: &'a Item,
    /// Its mail part.
    pub mail: &'a Mail,
    /// Sender.
    pub from: &'a Mailbox,
    /// Words.
    pub receipt: &'a Receipt,
    /// Language of the words.
    pub language: &'a str,
    /// When.
    pub sent_at: Timestamp,
}

impl Acknowledgement<'_> {
    /// Message-ID without brackets; the same for every sending of one case's receipt.
    pub fn message_id(&self) -> String {
        format!("outcry.receipt.{}@{}", self.item.case_id, self.from.email.domain())
    }

    fn references(&self) -> Vec<&str> {
        let from = self.mail.references.len().saturating_sub(MAX_REFERENCES);
        let answered = [self.mail.message_id.as_str()];
        self.mail.references[from..].iter().map(String::as_str).chain(answered).filter(|id| is_message_id(id)).collect()
    }

    fn subject(&self) -> String {
        match self.item.subject.as_deref().map(str::trim).filter(|subject| !subject.is_empty()) {
            Some(subject) => {
                let kept = subject.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT_CHARS).collect::<String>();
                if kept.to_lowercase().starts_with("re:") { kept } else { format!("Re: {kept}") }
            }
            None => self.receipt.subject.clone(),
        }
    }

    /// The mail.
    pub fn write(&self) -> Result<Outgoing, SendError> {
        let to = address(&self.mail.from)?;
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(self.subject())
            .message_id(Some(format!("<{}>", self.message_id())))
            .date(UNIX_EPOCH + Duration::from_millis(u64::try_from(self.sent_at.as_millis()).unwrap_or(0)))
            .raw_header(header("Auto-Submitted", "auto-replied")?)
            .raw_header(header("Precedence", "bulk")?)
            .raw_header(header("X-Auto-Response-Suppress", "All")?)
            .raw_header(header("Content-Language", self.language)?)
            .header(ContentType::TEXT_PLAIN);
        if is_message_id(&self.mail.message_id) {
            builder = builder.in_reply_to(format!("<{}>", self.mail.message_id));
        }
        let references: Vec<_> = self.references().into_iter().map(|id| format!("<{id}>")).collect();
        if !references.is_empty() {
            builder = builder.references(references.join(" "));
        }
        let message = builder.body(self.receipt.body.clone()).map_err(unwritable)?;
        let envelope = Envelope::new(None, vec![to]).map_err(unwritable)?;
        Ok(Outgoing { envelope, raw: message.formatted() })
    }

    /// That it was sent: an automatic outbound item of the same case, from which the time to acknowledgement is measured.
    /// Its id follows from the case and its time from the record of sending, so that publishing it again changes nothing.
    pub fn to_item(&self) -> Item {
        let customer_item = self.item;
        let case = customer_item.case_id.to_bytes();
        let body = &self.receipt.body;
        Item {
            schema_version: SCHEMA_VERSION,
            item_id: ItemId::new(&customer_item.brand, Channel::Email, PROVIDER, &[b"receipt", &case]),
            contact_id: ContactId::new(&customer_item.brand, Channel::Email, &[b"receipt", &case]),
            case_id: customer_item.case_id,
            revision: 0,
            brand: customer_item.brand.clone(),
            channel: Channel::Email,
            source: "notifier:receipts".into(),
            provider: PROVIDER.into(),
            direction: Direction::Outbound,
            author_kind: AuthorKind::Automatic,
            customer: customer_item.customer.clone(),
            subject: Some(self.subject()),
            text: body.clone(),
            quoted_text: String::new(),
            language: Some(self.language.to_owned()),
            occurred_at: self.sent_at,
            received_at: self.sent_at,
            ingested_at: self.sent_at,
            effective_at: self.sent_at,
            clock_suspect: false,
            mail: Some(Mail {
                message_id: self.message_id(),
                in_reply_to: [&self.mail.message_id].into_iter().filter(|id| is_message_id(id)).cloned().collect(),
                references: self.references().into_iter().map(str::to_owned).collect(),
                from: self.from.email.to_string(),
                to: vec![self.mail.from.clone()],
                automatic: Some(AutomaticMail::AutoReply),
                ..Mail::default()
            }),
            call: None,
            post: None,
            origin: Origin {
                connector: concat!("notifier ", env!("CARGO_PKG_VERSION")).into(),
                raw_size: body.len() as u64,
                raw_sha256: hex::encode(Sha256::digest(body)),
                ..Origin::default()
            },
            unknown_fields: serde_json::Map::new(),
        }
    }
}

/// A mail to our own people about a critical item. It names the case, never the customer or their words: mail to a
/// duty officer goes through phones and gateways that are not ours.
pub fn alert(
    item: &Item,
    category: &str,
    signals: &[String],
    from: &Mailbox,
    to: &[Mailbox],
) -> Result<Outgoing, SendError> {
    let subject = format!("Critical: {} ({}, {})", category.replace('_', " "), item.brand, item.channel.as_str());
    let signals = if signals.is_empty() { "none named".to_owned() } else { signals.join(", ") };
    let body = format!(
        "A critical item came in and needs a person now.\n\nBrand: {}\nChannel: {}\nSource: {}\nCategory: {category}\n\
         Signals: {signals}\nArrived: {}\nCase: {}\nItem: {}\n\nLook it up by its case in the console or in ClickHouse.\n",
        item.brand,
        item.channel.as_str(),
        item.source,
        item.effective_at,
        item.case_id,
        item.item_id,
    );
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(subject)
        .message_id(Some(format!("<outcry.alert.{}@{}>", item.case_id, from.email.domain())))
        .raw_header(header("Auto-Submitted", "auto-generated")?)
        .raw_header(header("X-Auto-Response-Suppress", "All")?)
        .header(ContentType::TEXT_PLAIN);
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    let message = builder.body(body).map_err(unwritable)?;
    Ok(Outgoing { envelope: message.envelope().clone(), raw: message.formatted() })
}

fn header(name: &str, value: &str) -> Result<HeaderValue, SendError> {
    Ok(HeaderValue::new(HeaderName::new_from_ascii(name.to_owned()).map_err(unwritable)?, value.to_owned()))
}

fn address(text: &str) -> Result<Address, SendError> {
    // The parser's error would carry the address into a log.
    text.parse().map_err(|_| SendError::Unwritable("the customer's address is not one".into()))
}

fn unwritable(error: impl std::fmt::Display) -> SendError {
    SendError::Unwritable(error.to_string())
}

/// What may stand between angle brackets in a header: a stranger chose it.
fn is_message_id(id: &str) -> bool {
    (1..=250).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{classified, now};

    fn with<T>(change: impl FnOnce(&mut Item), use_it: impl FnOnce(Acknowledgement<'_>) -> T) -> T {
        let mut item = classified().item;
        change(&mut item);
        let mail = item.mail.clone().unwrap();
        use_it(Acknowledgement {
            item: &item,
            mail: &mail,
            from: &"Acme Care <care@acme.example>".parse().unwrap(),
            receipt: &Receipt { subject: "Ricevuto".into(), body: "Abbiamo ricevuto. è\n".into() },
            language: "it",
            sent_at: now(),
        })
    }

    fn written(change: impl FnOnce(&mut Item)) -> String {
        with(change, |receipt| String::from_utf8(receipt.write().unwrap().raw).unwrap())
    }

    #[test]
    fn machines_can_tell_it_from_a_persons_mail_and_thread_it() {
        let text = written(|_| {});
        for line in [
            "Auto-Submitted: auto-replied\r\n",
            "Precedence: bulk\r\n",
            "X-Auto-Response-Suppress: All\r\n",
            "In-Reply-To: <first@shop.example>\r\n",
            "References: <first@shop.example>\r\n",
            "To: ana@shop.example\r\n",
            "Subject: Re: Broken parcel\r\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_bounce_of_it_goes_nowhere() {
        with(|_| {}, |receipt| assert!(receipt.write().unwrap().envelope.from().is_none()));
    }

    #[test]
    fn sending_it_twice_is_the_same_mail_and_the_same_item() {
        let id = |seconds| {
            with(
                |_| {},
                |mut receipt| {
                    receipt.sent_at = now().plus(Duration::from_secs(seconds));
                    (receipt.message_id(), receipt.to_item().item_id, receipt.to_item().contact_id)
                },
            )
        };
        assert_eq!(id(0), id(60));
        assert!(written(|_| {}).contains(&format!("Message-ID: <{}>", id(0).0)));
    }

    #[test]
    fn the_item_is_automatic_outbound_and_of_the_same_case() {
        let item = with(|_| {}, |receipt| receipt.to_item());
        assert_eq!(item.case_id, classified().item.case_id);
        assert_eq!((item.direction, item.author_kind), (Direction::Outbound, AuthorKind::Automatic));
        assert_eq!((item.occurred_at, item.effective_at), (now(), now()));
    }

    #[test]
    fn a_stranger_cannot_write_our_headers() {
        let text = written(|item| {
            item.subject = Some("help\r\nBcc: victim@x.example".into());
            item.mail.as_mut().unwrap().message_id = "a@b>\r\nBcc: victim@x.example\r\nX: <".into();
        });
        assert!(!text.contains("\nBcc:"), "{text}");
        assert!(!text.contains("In-Reply-To"), "{text}");
    }

    #[test]
    fn a_mail_without_subject_gets_one_in_its_language() {
        assert!(written(|item| item.subject = None).contains("Subject: Ricevuto\r\n"));
        assert!(
            written(|item| item.subject = Some("RE: still broken".into())).contains("Subject: RE: still broken\r\n")
        );
    }

    #[test]
    fn an_alert_names_the_case_and_no_person() {
        let item = classified().item;
        let from = "care@acme.example".parse().unwrap();
        let to = ["duty@acme.example".parse().unwrap()];
        let mail = alert(&item, "safety", &["safety.injury".into()], &from, &to).unwrap();
        let text = String::from_utf8(mail.raw).unwrap();
        assert!(text.contains(&item.case_id.to_string()) && text.contains("safety.injury"), "{text}");
        assert!(!text.contains("ana@shop.example") && !text.contains("parcel"), "{text}");
    }
}

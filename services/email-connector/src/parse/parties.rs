//! Who wrote to whom, and which of them is the customer.

use super::{
    FolderKind, ParseContext,
    address::{self, Mailbox},
    body::Body,
    header::Fields,
    kind::Kind,
    reply::{self, Split},
};
use outcry_domain::{Customer, CustomerKey, Direction, channel::AutomaticMail};

/// Author, recipients, direction and customer of a mail.
pub(super) struct Parties {
    pub from: Option<Mailbox>,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub reply_to: Vec<String>,
    pub direction: Direction,
    pub forwarded_by_staff: bool,
    customer: Option<Mailbox>,
}

impl Parties {
    /// The customer; someone without an address is a customer of this one mail only.
    pub fn customer(&self, key: &CustomerKey, contact: &[u8]) -> Customer {
        match &self.customer {
            Some(mailbox) => key.email(&mailbox.address, mailbox.name.as_deref()),
            None => key.anonymous(contact),
        }
    }
}

/// The author: From, else Sender, else the envelope's return path.
pub(super) fn author(fields: &Fields<'_>) -> Option<Mailbox> {
    ["From", "Sender", "Return-Path", "X-Envelope-From"]
        .iter()
        .find_map(|name| fields.mailboxes(name).into_iter().next())
}

/// From one of us to us alone: a forward, whatever its subject says.
pub(super) fn is_internal(fields: &Fields<'_>, from: Option<&Mailbox>, context: &ParseContext<'_>) -> bool {
    let ours = |mailbox: &Mailbox| context.brand.owns_address(&mailbox.address);
    context.folder == FolderKind::Inbound
        && from.is_some_and(ours)
        && ["To", "Cc", "Bcc"].iter().all(|name| fields.mailboxes(name).iter().all(ours))
}

/// Decides who is the customer.
///
/// Mail from our own domains, or in a Sent folder, is ours: its customer is the first recipient who is not one of us.
/// Two of our own mails are not ours to the customer: a contact form that sends under our name with the customer's
/// Reply-To, and a complaint that staff forwards to the mailbox.
pub(super) fn parties(
    fields: &Fields<'_>,
    from: Option<Mailbox>,
    kind: &Kind,
    body: &Body,
    split: &Split,
    context: &ParseContext<'_>,
) -> Parties {
    let to = fields.mailboxes("To");
    let cc = fields.mailboxes("Cc");
    let reply_to = fields.mailboxes("Reply-To");
    let ours = |mailbox: &Mailbox| context.brand.owns_address(&mailbox.address);
    let external = |list: &[Mailbox]| list.iter().find(|mailbox| !ours(mailbox)).cloned();
    let from_us = context.folder == FolderKind::Sent || from.as_ref().is_some_and(ours);
    let recipient = external(&to).or_else(|| external(&cc)).or_else(|| external(&fields.mailboxes("Bcc")));
    let mut found = Parties {
        direction: if from_us { Direction::Outbound } else { Direction::Inbound },
        customer: None,
        forwarded_by_staff: false,
        to: addresses(to),
        cc: addresses(cc),
        reply_to: addresses(reply_to.clone()),
        from,
    };
    if !from_us {
        let failed = match kind.automatic {
            Some(AutomaticMail::Bounce | AutomaticMail::Notification) => {
                body.returned.as_ref().and_then(|returned| returned.recipient.clone())
            }
            _ => None,
        };
        // A delivery report is about the customer whom our mail did not reach.
        let failed = failed.filter(|address| !context.brand.owns_address(address));
        found.customer = failed.map(|address| Mailbox { address, name: None }).or_else(|| found.from.clone());
        return found;
    }
    if recipient.is_none() && context.folder == FolderKind::Inbound {
        if let Some(customer) = external(&reply_to) {
            found.direction = Direction::Inbound;
            found.customer = Some(customer);
            return found;
        }
        // Forwarded as an attachment, or within the text.
        let enclosed = body.enclosed.as_ref().and_then(|enclosed| enclosed.from.clone());
        if let Some(customer) = enclosed.filter(|mailbox| !ours(mailbox)) {
            found.direction = Direction::Inbound;
            found.forwarded_by_staff = true;
            found.customer = Some(customer);
            return found;
        }
        let forwarded = split.forward_at.and_then(|line| reply::forwarded_author(&body.text, line));
        let complainant =
            forwarded.as_deref().and_then(|value| address::parse_mailboxes(value.as_bytes(), None).into_iter().next());
        if let Some(customer) = complainant.filter(|mailbox| !ours(mailbox)) {
            found.direction = Direction::Inbound;
            found.forwarded_by_staff = true;
            found.customer = Some(customer);
            return found;
        }
    }
    found.customer = recipient.or_else(|| found.from.clone());
    found
}

fn addresses(list: Vec<Mailbox>) -> Vec<String> {
    list.into_iter().map(|mailbox| mailbox.address).collect()
}

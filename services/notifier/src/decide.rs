//! Whether an item gets a receipt or an alert: a pure decision, and its reason.
//!
//! A receipt that should not have been sent does harm (loops, backscatter, answers to lists); one that is missing is a
//! delay that reports show. So whatever is doubtful gets none.

use crate::config::{Acknowledgements, Alerts};
use outcry_domain::{
    AuthorKind, Brand, Channel, ClassifiedItem, Direction, Item, Mail, Timestamp,
    classification::{Kind, Urgency},
};
use std::time::Duration;

/// Local parts that no person reads.
const MACHINES: &[&str] = &[
    "mailer-daemon",
    "postmaster",
    "no-reply",
    "noreply",
    "no_reply",
    "donotreply",
    "do-not-reply",
    "bounce",
    "bounces",
];

/// Why there is no receipt. Names are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Not a mail from a customer.
    NotInboundMail,
    /// Receipts are switched off.
    Disabled,
    /// A machine wrote it, or it is a bounce.
    Automatic,
    /// From a list, or bulk.
    ListOrBulk,
    /// It comes from ourselves.
    OwnDomain,
    /// Forwarded by our own staff: the customer wrote to somebody else.
    Forwarded,
    /// The classifier takes it for spam, or for our own words.
    Unwanted,
    /// Read from the past on request.
    Backfill,
    /// Older than a receipt makes sense for.
    Old,
    /// It goes on with a conversation; a receipt is for the first mail.
    NotFirst,
    /// No address to send it to.
    NoAddress,
    /// The brand is not configured here.
    UnknownBrand,
}

impl Withheld {
    /// Low-cardinality name for metrics.
    pub fn metric_label(self) -> &'static str {
        match self {
            Self::NotInboundMail => "not_inbound_mail",
            Self::Disabled => "disabled",
            Self::Automatic => "automatic",
            Self::ListOrBulk => "list_or_bulk",
            Self::OwnDomain => "own_domain",
            Self::Forwarded => "forwarded",
            Self::Unwanted => "unwanted",
            Self::Backfill => "backfill",
            Self::Old => "old",
            Self::NotFirst => "not_first",
            Self::NoAddress => "no_address",
            Self::UnknownBrand => "unknown_brand",
        }
    }
}

/// A mail that gets a receipt.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledge<'a> {
    /// The brand that answers.
    pub brand: &'a Brand,
    /// The mail's own part.
    pub mail: &'a Mail,
}

/// Decides on a receipt. Whether one was sent for this case already is not known here.
pub fn acknowledgement<'a>(
    classified: &'a ClassifiedItem,
    brands: &'a [Brand],
    settings: &Acknowledgements,
    now: Timestamp,
) -> Result<Acknowledge<'a>, Withheld> {
    let item = &classified.item;
    let mail = match &item.mail {
        Some(mail) if item.channel == Channel::Email && item.direction == Direction::Inbound => mail,
        _ => return Err(Withheld::NotInboundMail),
    };
    if !settings.enabled {
        return Err(Withheld::Disabled);
    }
    let brand = brands.iter().find(|brand| brand.id == item.brand).ok_or(Withheld::UnknownBrand)?;
    if item.author_kind == AuthorKind::Automatic || mail.automatic.is_some() || mail.bounce_of.is_some() {
        return Err(Withheld::Automatic);
    }
    if mail.list_id.is_some() || mail.bulk {
        return Err(Withheld::ListOrBulk);
    }
    let Some((local, domain)) = mail.from.rsplit_once('@') else { return Err(Withheld::NoAddress) };
    if local.is_empty() || domain.is_empty() {
        return Err(Withheld::NoAddress);
    }
    let local = local.split('+').next().unwrap_or(local);
    if MACHINES.iter().any(|machine| local.eq_ignore_ascii_case(machine)) {
        return Err(Withheld::Automatic);
    }
    if mail.forwarded_by_staff {
        return Err(Withheld::Forwarded);
    }
    if brand.owns_address(&mail.from) {
        return Err(Withheld::OwnDomain);
    }
    if matches!(classified.classification.kind.label, Kind::Spam | Kind::Own) {
        return Err(Withheld::Unwanted);
    }
    if item.origin.backfill {
        return Err(Withheld::Backfill);
    }
    if is_old(item, settings.max_age(), now) {
        return Err(Withheld::Old);
    }
    if !mail.in_reply_to.is_empty() || !mail.references.is_empty() {
        return Err(Withheld::NotFirst);
    }
    Ok(Acknowledge { brand, mail })
}

/// Whether people must be told at once.
pub fn alert(classified: &ClassifiedItem, settings: &Alerts, max_age: Duration, now: Timestamp) -> bool {
    let item = &classified.item;
    !settings.to.is_empty()
        && item.direction == Direction::Inbound
        && classified.classification.urgency.label == Urgency::Critical
        && !matches!(classified.classification.kind.label, Kind::Spam | Kind::Own)
        && !item.origin.backfill
        && !is_old(item, max_age, now)
}

/// By the server's clock or by its own: a mailbox that was moved yesterday is full of new arrivals that are years old.
fn is_old(item: &Item, max_age: Duration, now: Timestamp) -> bool {
    let limit = now.minus(max_age);
    item.received_at < limit || (!item.occurred_at.is_unknown() && item.occurred_at < limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{brand, classified, now};
    use outcry_domain::channel::AutomaticMail;

    fn decide(change: impl FnOnce(&mut ClassifiedItem)) -> Option<Withheld> {
        let mut item = classified();
        change(&mut item);
        let settings = Acknowledgements { enabled: true, ..Acknowledgements::default() };
        acknowledgement(&item, &[brand()], &settings, now()).err()
    }

    fn mail(item: &mut ClassifiedItem) -> &mut Mail {
        item.item.mail.as_mut().unwrap()
    }

    #[test]
    fn a_customers_first_mail_gets_a_receipt() {
        assert_eq!(decide(|_| {}), None);
    }

    #[test]
    fn machines_and_lists_get_none() {
        for kind in [AutomaticMail::AutoReply, AutomaticMail::Bounce, AutomaticMail::Notification] {
            assert_eq!(decide(|item| mail(item).automatic = Some(kind)), Some(Withheld::Automatic));
        }
        assert_eq!(decide(|item| item.item.author_kind = AuthorKind::Automatic), Some(Withheld::Automatic));
        assert_eq!(decide(|item| mail(item).bounce_of = Some("x".into())), Some(Withheld::Automatic));
        assert_eq!(decide(|item| mail(item).from = "No-Reply+7@shop.example".into()), Some(Withheld::Automatic));
        assert_eq!(decide(|item| mail(item).bulk = true), Some(Withheld::ListOrBulk));
        assert_eq!(decide(|item| mail(item).list_id = Some("l".into())), Some(Withheld::ListOrBulk));
    }

    #[test]
    fn ourselves_spam_and_the_past_get_none() {
        assert_eq!(decide(|item| mail(item).from = "ana@mail.acme.example".into()), Some(Withheld::OwnDomain));
        assert_eq!(decide(|item| mail(item).forwarded_by_staff = true), Some(Withheld::Forwarded));
        assert_eq!(decide(|item| item.classification.kind.label = Kind::Spam), Some(Withheld::Unwanted));
        assert_eq!(decide(|item| item.item.origin.backfill = true), Some(Withheld::Backfill));
        let three_days = Duration::from_secs(3 * 86_400);
        assert_eq!(decide(|item| item.item.received_at = now().minus(three_days)), Some(Withheld::Old));
        assert_eq!(decide(|item| item.item.occurred_at = now().minus(three_days)), Some(Withheld::Old));
        assert_eq!(decide(|item| item.item.occurred_at = Timestamp::UNKNOWN), None);
    }

    #[test]
    fn what_goes_on_with_a_conversation_gets_none() {
        assert_eq!(decide(|item| mail(item).in_reply_to = vec!["a@b".into()]), Some(Withheld::NotFirst));
        assert_eq!(decide(|item| mail(item).references = vec!["a@b".into()]), Some(Withheld::NotFirst));
    }

    #[test]
    fn what_is_no_customers_mail_gets_none() {
        assert_eq!(decide(|item| item.item.direction = Direction::Outbound), Some(Withheld::NotInboundMail));
        assert_eq!(decide(|item| item.item.mail = None), Some(Withheld::NotInboundMail));
        assert_eq!(decide(|item| mail(item).from = "nobody".into()), Some(Withheld::NoAddress));
        assert_eq!(decide(|item| item.item.brand = "other".into()), Some(Withheld::UnknownBrand));
        let off = acknowledgement(&classified(), &[brand()], &Acknowledgements::default(), now()).err();
        assert_eq!(off, Some(Withheld::Disabled));
    }

    #[test]
    fn only_critical_and_fresh_items_raise_an_alert() {
        let (day, to) = (Duration::from_secs(86_400), Alerts { to: vec!["duty@acme.example".into()] });
        let mut item = classified();
        assert!(!alert(&item, &to, day, now()));
        item.classification.urgency.label = Urgency::Critical;
        assert!(alert(&item, &to, day, now()));
        assert!(!alert(&item, &Alerts::default(), day, now()));
        item.item.origin.backfill = true;
        assert!(!alert(&item, &to, day, now()));
    }
}

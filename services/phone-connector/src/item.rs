//! From what a provider tells of a call to an item.
//!
//! All events of one call must meet, whatever subset of fields each carries: a recording knows no number, a hang-up no
//! direction. So `contact_id` and `case_id` depend on the provider and the call's id alone. The customer stands in `customer` where the
//! event knows it, and is nobody's (an id of this call only) where it does not; the `calls` view takes the one that is known.

use crate::number::{Numbers, Party};
use outcry_domain::{
    AuthorKind, Call, CaseId, Channel, ContactId, Customer, CustomerKey, Direction, Item, ItemId, Origin,
    SCHEMA_VERSION, Timestamp, item::effective_time,
};
use sha2::{Digest, Sha256};

/// What one webhook, or one row of a file, says of a call.
#[derive(Clone, Debug, Default)]
pub struct CallFact {
    /// The call, with `from` and `to` as the provider wrote them.
    pub call: Call,
    /// The call's direction, if this event states it.
    pub direction: Option<Direction>,
    /// The customer's name, if the provider knows it.
    pub customer_name: Option<String>,
    /// This end is not the customer's, or nobody knows: the leg of an agent, for one.
    pub customer_is_elsewhere: bool,
    /// When it happened, by the provider's clock.
    pub occurred_at: Timestamp,
    /// What makes this fact itself, within the call.
    pub identity: Vec<String>,
    /// Orders the events of the call where `call.sequence` does not.
    pub revision: Option<i64>,
    /// Words for the classifier.
    pub text: String,
    /// Language of the words, if stated.
    pub language: Option<String>,
}

/// Everything about the account that an item shows.
pub struct Source {
    /// The brand's id.
    pub brand: String,
    /// `phone:{account}`.
    pub source: String,
    /// The provider's name in the configuration.
    pub provider: String,
    /// Reads its numbers.
    pub numbers: Numbers,
    /// The key under which customers are hashed.
    pub key: CustomerKey,
}

/// A raw payload, for `origin`.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Its size.
    pub size: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

impl Raw {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

impl Source {
    /// The item of a fact.
    pub fn item(&self, fact: CallFact, raw: &Raw, received_at: Timestamp, now: Timestamp) -> Item {
        let mut call = fact.call;
        let direction = fact.direction.unwrap_or(Direction::Inbound);
        let read = |text: &Option<String>| match text {
            Some(text) => self.numbers.read(text),
            None => Party::Unknown,
        };
        let (from, to) = (read(&call.from), read(&call.to));
        let customer = match fact.direction {
            _ if fact.customer_is_elsewhere => Party::Unknown,
            Some(Direction::Inbound) => from.clone(),
            Some(Direction::Outbound) => to.clone(),
            // Without a direction nobody can tell which end is the customer's, and a wrong one is worse than none.
            None => Party::Unknown,
        };
        let shown = |party: &Party, text: Option<String>| party.address().map(str::to_owned).or(text);
        call.from = shown(&from, call.from.take());
        call.to = shown(&to, call.to.take());

        let contact_id = self.contact_id(&call.call_id);
        let nobody = self.key.anonymous(&contact_id.to_bytes());
        let root = format!("call:{}:{}", self.provider, call.call_id);
        let case_id = CaseId::new(&self.brand, root.as_bytes(), nobody.customer_id);
        let mut native: Vec<&[u8]> = vec![call.call_id.as_bytes()];
        native.extend(fact.identity.iter().map(String::as_bytes));
        let item_id = ItemId::new(&self.brand, Channel::Phone, &self.provider, &native);
        let revision = call.sequence.or(fact.revision).unwrap_or_else(|| fact.occurred_at.as_millis());
        let (effective_at, clock_suspect) = effective_time(Channel::Phone, fact.occurred_at, received_at, false);
        let location = call.recording_url.clone();
        Item {
            schema_version: SCHEMA_VERSION,
            item_id,
            contact_id,
            case_id,
            revision,
            brand: self.brand.clone(),
            channel: Channel::Phone,
            source: self.source.clone(),
            provider: self.provider.clone(),
            direction,
            author_kind: AuthorKind::Human,
            customer: self.customer(&customer, fact.customer_name.as_deref(), nobody),
            subject: None,
            text: fact.text,
            quoted_text: String::new(),
            language: fact.language,
            occurred_at: fact.occurred_at,
            received_at,
            ingested_at: now,
            effective_at,
            clock_suspect,
            mail: None,
            call: Some(call),
            post: None,
            origin: Origin {
                connector: concat!("phone-connector ", env!("CARGO_PKG_VERSION")).into(),
                raw_size: raw.size,
                raw_sha256: raw.sha256.clone(),
                backfill: false,
                truncated: false,
                location,
            },
            unknown_fields: serde_json::Map::new(),
        }
    }

    fn contact_id(&self, call_id: &str) -> ContactId {
        ContactId::new(&self.brand, Channel::Phone, &[self.provider.as_bytes(), call_id.as_bytes()])
    }

    /// An extension or a SIP address means something within one account only.
    fn customer(&self, party: &Party, name: Option<&str>, nobody: Customer) -> Customer {
        match party {
            Party::Number(number) => self.key.phone(number, name),
            Party::Other(address) => self.key.account(&self.source, address, name),
            Party::Unknown => nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Writing;
    use phonenumber::country;

    fn source() -> Source {
        Source {
            brand: "acme".into(),
            source: "phone:main".into(),
            provider: "standard".into(),
            numbers: Numbers::new(Some(country::IT), Writing::National),
            key: CustomerKey::new(b"k"),
        }
    }

    fn item(call: Call, direction: Option<Direction>) -> Item {
        let fact = CallFact { call, direction, occurred_at: Timestamp::from_seconds(100), ..CallFact::default() };
        source().item(fact, &Raw::of(b"x"), Timestamp::from_seconds(200), Timestamp::from_seconds(201))
    }

    fn call(from: Option<&str>, to: Option<&str>) -> Call {
        Call { call_id: "c1".into(), from: from.map(Into::into), to: to.map(Into::into), ..Call::default() }
    }

    #[test]
    fn events_that_know_the_number_and_events_that_do_not_are_one_call_and_one_case() {
        let knows = item(call(Some("02 12345678"), Some("+39021111111")), Some(Direction::Inbound));
        let does_not = item(call(None, None), None);
        assert_eq!((knows.contact_id, knows.case_id), (does_not.contact_id, does_not.case_id));
        assert_eq!(knows.customer.address.as_deref(), Some("+390212345678"));
        assert_eq!(does_not.customer.address, None);
    }

    #[test]
    fn the_customer_is_at_the_other_end_of_the_call() {
        let outbound = item(call(Some("+39021111111"), Some("02 12345678")), Some(Direction::Outbound));
        assert_eq!(outbound.customer.address.as_deref(), Some("+390212345678"));
        assert_eq!(outbound.direction, Direction::Outbound);
    }

    #[test]
    fn anonymous_callers_of_two_calls_are_two_customers() {
        let first = item(call(Some("anonymous"), None), Some(Direction::Inbound));
        let mut other = call(Some("anonymous"), None);
        other.call_id = "c2".into();
        let second = item(other, Some(Direction::Inbound));
        assert_ne!(first.customer.customer_id, second.customer.customer_id);
        assert_eq!(first.customer.address, None);
        assert_eq!(first.call.unwrap().from.as_deref(), Some("anonymous"), "kept as it came");
    }

    #[test]
    fn an_extension_of_one_account_is_not_that_of_another() {
        let here = item(call(Some("205"), None), Some(Direction::Inbound));
        assert_eq!(here.customer.address.as_deref(), Some("phone:main:205"));
    }
}

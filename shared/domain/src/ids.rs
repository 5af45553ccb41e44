//! Identities: 128-bit hashes that the same fact always gets, whoever saw it and however often.
//!
//! An id is the first 128 bits of SHA-256 over a domain separator and length-prefixed parts, so that no two lists of
//! parts can run together. It is written like a UUID because every tool of an analyst, ClickHouse first, reads that
//! form. It is not a UUID of any version.

use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// What stands in an id's place is not 32 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an id: expected 32 hexadecimal digits, with or without the hyphens of a UUID")]
pub struct InvalidId(String);

/// Feeds length-prefixed parts to a hash, so that ("ab", "c") and ("a", "bc") differ.
fn feed(mut update: impl FnMut(&[u8]), domain: &str, parts: &[&[u8]]) {
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        update(&(part.len() as u64).to_be_bytes());
        update(part);
    }
}

fn first_128_bits(digest: &[u8]) -> u128 {
    digest.iter().take(16).fold(0, |value, byte| (value << 8) | u128::from(*byte))
}

fn digest(domain: &str, parts: &[&[u8]]) -> u128 {
    let mut hasher = Sha256::new();
    feed(|bytes| hasher.update(bytes), domain, parts);
    first_128_bits(&hasher.finalize())
}

pub(crate) fn keyed_digest(key: &[u8], domain: &str, parts: &[&[u8]]) -> u128 {
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
    feed(|bytes| mac.update(bytes), domain, parts);
    first_128_bits(&mac.finalize().into_bytes())
}

fn parse(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let hyphenated = bytes.len() == 36;
    if !hyphenated && bytes.len() != 32 {
        return None;
    }
    let mut value = 0u128;
    for (position, byte) in bytes.iter().enumerate() {
        if hyphenated && matches!(position, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        value = (value << 4) | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(value)
}

fn hyphenated(value: u128) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut nibble = 32;
    for (position, place) in text.iter_mut().enumerate() {
        if matches!(position, 8 | 13 | 18 | 23) {
            continue;
        }
        nibble -= 1;
        *place = HEX[((value >> (nibble * 4)) & 0xf) as usize];
    }
    text
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub u128);

        impl $name {
            /// The id's bytes, most significant first.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // The table of digits is ASCII, so this is always UTF-8.
                f.write_str(std::str::from_utf8(&hyphenated(self.0)).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self).ok_or_else(|| InvalidId(text.chars().take(64).collect()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(std::str::from_utf8(&hyphenated(self.0)).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id of 32 hexadecimal digits")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    };
}

id!(
    /// One fact: the same fact seen twice, by any connector after any crash, has the same id.
    ItemId
);
id!(
    /// What a person would count: a mail, a post with all its versions, a call with all its events.
    ContactId
);
id!(
    /// One customer and one conversation.
    CaseId
);
id!(
    /// A person's address under a secret key: the same address always has the same id, and the id does not tell it.
    CustomerId
);
id!(
    /// One case event: posting the same event again gives the same id.
    EventId
);

impl ItemId {
    /// (brand, channel, provider, native identity of this very fact).
    pub fn new(brand: &str, channel: crate::Channel, provider: &str, native: &[&[u8]]) -> Self {
        let mut parts: Vec<&[u8]> = vec![brand.as_bytes(), channel.as_str().as_bytes(), provider.as_bytes()];
        parts.extend_from_slice(native);
        Self(digest("outcry.item", &parts))
    }

    /// A mail is its raw bytes: two mailboxes that hold the same bytes hold the same fact of that mailbox's source.
    pub fn of_mail(brand: &str, source: &str, raw: &[u8]) -> Self {
        Self::new(brand, crate::Channel::Email, source, &[raw])
    }
}

impl ContactId {
    /// (brand, channel, identity of the contact).
    pub fn new(brand: &str, channel: crate::Channel, native: &[&[u8]]) -> Self {
        let mut parts: Vec<&[u8]> = vec![brand.as_bytes(), channel.as_str().as_bytes()];
        parts.extend_from_slice(native);
        Self(digest("outcry.contact", &parts))
    }

    /// Message-ID, From, Date and body together: copies to two mailboxes are one contact, and two different mails that
    /// carry one Message-ID are two.
    pub fn of_mail(brand: &str, message_id: &str, from: &str, date: &str, body: &[u8]) -> Self {
        Self::new(brand, crate::Channel::Email, &[message_id.as_bytes(), from.as_bytes(), date.as_bytes(), body])
    }
}

impl CaseId {
    /// (brand, conversation root, customer): a forged In-Reply-To cannot join a stranger's case.
    pub fn new(brand: &str, conversation_root: &[u8], customer: CustomerId) -> Self {
        Self(digest("outcry.case", &[brand.as_bytes(), conversation_root, &customer.to_bytes()]))
    }
}

impl EventId {
    /// The caller's idempotency key within a brand and case.
    pub fn new(brand: &str, case_id: CaseId, key: &[u8]) -> Self {
        Self(digest("outcry.case_event", &[brand.as_bytes(), &case_id.to_bytes(), key]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Channel;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(
            ContactId::new("b", Channel::Phone, &[b"ab", b"c"]),
            ContactId::new("b", Channel::Phone, &[b"a", b"bc"])
        );
    }

    #[test]
    fn copies_of_one_mail_in_two_mailboxes_are_two_items_of_one_contact() {
        let raw = b"Message-ID: <1@x>\r\n\r\nhello";
        assert_ne!(ItemId::of_mail("acme", "email:support", raw), ItemId::of_mail("acme", "email:info", raw));
        let contact = || ContactId::of_mail("acme", "1@x", "a@x", "0", b"hello");
        assert_eq!(contact(), contact());
    }

    #[test]
    fn the_same_fact_twice_has_one_id() {
        assert_eq!(ItemId::of_mail("acme", "email:support", b"raw"), ItemId::of_mail("acme", "email:support", b"raw"));
    }

    #[test]
    fn two_different_mails_with_one_message_id_are_two_contacts() {
        assert_ne!(
            ContactId::of_mail("acme", "1@x", "a@x", "0", b"first parcel"),
            ContactId::of_mail("acme", "1@x", "a@x", "0", b"second parcel")
        );
    }

    #[test]
    fn a_forged_reply_opens_a_case_of_its_own() {
        let customer = CustomerId(1);
        let stranger = CustomerId(2);
        assert_ne!(CaseId::new("acme", b"root@x", customer), CaseId::new("acme", b"root@x", stranger));
    }

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = ItemId(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-fedc-ba9876543210");
        assert_eq!(id.to_string().parse::<ItemId>().unwrap(), id);
        assert_eq!("0123456789abcdeffedcba9876543210".parse::<ItemId>().unwrap(), id);
        assert!("0123".parse::<ItemId>().is_err());
        assert!("01234567-89ab-cdef-fedc-ba98765432zz".parse::<ItemId>().is_err());
    }
}

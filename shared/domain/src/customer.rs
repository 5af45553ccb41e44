//! Who complains: a keyed id for counting, and the personal details that live in their own table.

use crate::ids::{CustomerId, keyed_digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A customer as one item shows them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Customer {
    /// Keyed hash of the normalised address.
    pub customer_id: CustomerId,
    /// The normalised address: `ana@example.org`, `+390212345678`, `mastodon:https://example.social/@ana`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name as the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl std::fmt::Debug for Customer {
    /// Personal details never reach a log, not even through `{:?}`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").field("customer_id", &self.customer_id).finish_non_exhaustive()
    }
}

/// The secret under which addresses are hashed. All connectors of one installation share it.
#[derive(Clone)]
pub struct CustomerKey(Vec<u8>);

impl std::fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerKey(***)")
    }
}

impl CustomerKey {
    /// A key from the configured secret.
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.to_vec())
    }

    /// The customer behind a mail address; the domain is lower-cased and in ASCII (IDNA), the local part lower-cased.
    pub fn email(&self, address: &str, name: Option<&str>) -> Customer {
        self.customer("email", &normalise_email(address), name)
    }

    /// The customer behind a number that is in E.164 already.
    pub fn phone(&self, e164: &str, name: Option<&str>) -> Customer {
        self.customer("phone", e164, name)
    }

    /// The customer behind an account of a network, by the account's lasting id (not its handle, which can change).
    pub fn account(&self, network: &str, account_id: &str, name: Option<&str>) -> Customer {
        self.customer("account", &format!("{network}:{account_id}"), name)
    }

    /// Someone who cannot be told from others, such as a withheld number: a customer of this one contact only.
    pub fn anonymous(&self, contact: &[u8]) -> Customer {
        Customer {
            customer_id: CustomerId(keyed_digest(&self.0, "outcry.anonymous", &[contact])),
            address: None,
            name: None,
        }
    }

    fn customer(&self, kind: &str, normalised: &str, name: Option<&str>) -> Customer {
        Customer {
            customer_id: CustomerId(keyed_digest(
                &self.0,
                "outcry.customer",
                &[kind.as_bytes(), normalised.as_bytes()],
            )),
            address: Some(normalised.to_owned()),
            name: name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        }
    }
}

/// A mail address in the one form that is compared: lower case, domain in ASCII, no surrounding space.
///
/// RFC 5321 lets a server tell `Ana@` from `ana@`; no mail provider in use does, and people type either.
pub fn normalise_email(address: &str) -> String {
    let address = address.trim();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address.to_lowercase();
    };
    let domain = domain.trim_end_matches('.');
    let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
    format!("{}@{ascii}", local.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_customer_however_it_is_typed() {
        let key = CustomerKey::new(b"k");
        assert_eq!(
            key.email("Ana@Example.ORG ", None).customer_id,
            key.email("ana@example.org", Some("Ana")).customer_id
        );
        assert_eq!(normalise_email("müller@bücher.example"), "müller@xn--bcher-kva.example");
        assert_eq!(normalise_email("not an address"), "not an address");
    }

    #[test]
    fn another_key_gives_other_ids() {
        assert_ne!(CustomerKey::new(b"a").phone("+391", None), CustomerKey::new(b"b").phone("+391", None));
    }

    #[test]
    fn personal_details_do_not_print() {
        let shown = format!("{:?}", CustomerKey::new(b"k").email("ana@example.org", Some("Ana")));
        assert!(!shown.contains("ana@") && !shown.contains("Ana"), "{shown}");
    }

    #[test]
    fn withheld_callers_are_never_merged() {
        let key = CustomerKey::new(b"k");
        assert_ne!(key.anonymous(b"call-1").customer_id, key.anonymous(b"call-2").customer_id);
    }
}

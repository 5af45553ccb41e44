//! Vonage's older scheme: a parameter `sig` over all other parameters, by the method that the account is set to.
//!
//! vonage-php `SignatureTest.php` and vonage-ruby `signature_test.rb`, whose known answers stand below. Accounts that can should use the
//! JWT: this one covers parameters and not the body.

use super::{BadSecret, TIMESTAMP_TOLERANCE, Unauthentic, raw_secrets};
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use outcry_domain::Timestamp;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};

/// How the account signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VonageMethod {
    /// MD5 of the parameters and the secret, lower-case hexadecimal.
    Md5Hash,
    /// HMAC-MD5, upper-case hexadecimal, as are all that follow.
    Md5,
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

impl VonageMethod {
    /// Every name in the configuration.
    pub const NAMES: [(&str, Self); 5] = [
        ("md5hash", Self::Md5Hash),
        ("md5", Self::Md5),
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("sha512", Self::Sha512),
    ];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }

    fn sign(self, text: &[u8], secret: &[u8]) -> String {
        fn mac<M: Mac + hmac::digest::KeyInit>(text: &[u8], secret: &[u8]) -> String {
            let mut mac =
                <M as Mac>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
            mac.update(text);
            hex::encode_upper(mac.finalize().into_bytes())
        }
        match self {
            Self::Md5Hash => hex::encode(Md5::new().chain_update(text).chain_update(secret).finalize()),
            Self::Md5 => mac::<Hmac<Md5>>(text, secret),
            Self::Sha1 => mac::<Hmac<sha1::Sha1>>(text, secret),
            Self::Sha256 => mac::<Hmac<sha2::Sha256>>(text, secret),
            Self::Sha512 => mac::<Hmac<sha2::Sha512>>(text, secret),
        }
    }
}

/// Verifies `sig` with the account's signature secrets.
pub struct VonageSignature {
    method: VonageMethod,
    secrets: Vec<Vec<u8>>,
}

impl VonageSignature {
    /// From the account's method and its active secrets.
    pub fn new<'a>(method: VonageMethod, secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSecret> {
        Ok(Self { method, secrets: raw_secrets(secrets)? })
    }

    /// Whether the parameters are authentic and fresh. `timestamp` is one of them, in seconds or as a date.
    pub fn verify(&self, parameters: &[(String, String)], now: Timestamp) -> Result<(), Unauthentic> {
        let value = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let given = value("sig").ok_or(Unauthentic::Malformed)?;
        let text = signed_text(parameters);
        let authentic = self.secrets.iter().fold(Choice::from(0), |found, secret| {
            found | self.method.sign(text.as_bytes(), secret).as_bytes().ct_eq(given.as_bytes())
        });
        if !bool::from(authentic) {
            return Err(Unauthentic::Mismatch);
        }
        let signed_at = value("timestamp").ok_or(Unauthentic::Malformed)?;
        let signed_at = match signed_at.parse::<i64>() {
            Ok(seconds) => Timestamp::from_seconds(seconds),
            Err(_) => signed_at.parse().map_err(|_| Unauthentic::Malformed)?,
        };
        let apart = Duration::from_millis(now.millis_since(signed_at).unsigned_abs());
        if apart > TIMESTAMP_TOLERANCE { Err(Unauthentic::Stale) } else { Ok(()) }
    }
}

/// `&name=value` in the order of names, without `sig`; what would separate them is written `_`.
fn signed_text(parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = parameters.iter().filter(|(name, _)| name != "sig").collect();
    sorted.sort();
    sorted.iter().map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "my_secret_key_for_testing";
    const AT: i64 = 1_385_047_698;
    const KNOWN: [(&str, &str); 5] = [
        ("md5hash", "d2e7b1dc968737c5998ad624e02f90b7"),
        ("md5", "DDEBD46008C2D4E93CCE578A332A52D5"),
        ("sha1", "27D0D05C2876C7CB1720DBCDBA4D492E1E55C09A"),
        ("sha256", "DDB8397C2B90AAC7F3882D306475C9A5058C92322EEF43C92B298B6E0FC0D330"),
        (
            "sha512",
            "E0D3C650F8C9D1A5C174D10DDDBFB003E561F59B265616208B0487C5D819481CD3C311D59CF6165ECD1139622D5BA3A256C0D763AC4A9AD9144B5A426B94FE82",
        ),
    ];

    fn parameters(signature: &str) -> Vec<(String, String)> {
        [
            ("message-timestamp", "2013-11-21 15:27:30"),
            ("messageId", "020000001B0FE827"),
            ("msisdn", "14843472194"),
            ("text", "Test again"),
            ("timestamp", "1385047698"),
            ("to", "13239877404"),
            ("type", "text"),
            ("sig", signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn verify(method: &str, secret: &str, parameters: &[(String, String)], now: i64) -> Result<(), Unauthentic> {
        let method = VonageMethod::named(method).unwrap();
        VonageSignature::new(method, [secret]).unwrap().verify(parameters, Timestamp::from_seconds(now))
    }

    /// vonage-php `test/Client/SignatureTest.php`.
    #[test]
    fn known_answers_of_every_method() {
        for (method, signature) in KNOWN {
            assert_eq!(verify(method, SECRET, &parameters(signature), AT), Ok(()), "{method}");
        }
    }

    #[test]
    fn any_changed_byte_of_a_parameter_the_secret_or_the_signature_is_refused() {
        for (method, signature) in KNOWN {
            for (place, (name, value)) in parameters(signature).iter().enumerate() {
                for byte in 0..value.len() {
                    let mut changed = parameters(signature);
                    let mut bytes = value.clone().into_bytes();
                    bytes[byte] ^= 1;
                    changed[place].1 = String::from_utf8(bytes).unwrap();
                    assert_eq!(
                        verify(method, SECRET, &changed, AT),
                        Err(Unauthentic::Mismatch),
                        "{method} {name} byte {byte}"
                    );
                }
            }
            assert!(verify(method, "my_secret_key_for_testinh", &parameters(signature), AT).is_err());
            assert_eq!(verify(method, SECRET, &parameters(signature), AT + 301), Err(Unauthentic::Stale));
            assert!(verify(method, SECRET, &parameters("")[..7], AT).is_err(), "without a signature");
        }
    }

    #[test]
    fn what_would_separate_parameters_cannot_be_smuggled_into_a_value() {
        let one = [("a".to_owned(), "1&b=2".to_owned())];
        assert_eq!(signed_text(&one), "&a=1_b_2");
    }
}

//! Telnyx: Ed25519 over `timestamp|body` with the account's public key.
//!
//! The scheme of telnyx-ruby, telnyx-go, telnyx-node and telnyx-java.

use super::{BadSecret, Unauthentic, check_freshness, single_header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use http::HeaderMap;
use outcry_domain::Timestamp;

const EXPECTED: &str = "an Ed25519 public key: 32 bytes in base64";

/// Verifies `telnyx-signature-ed25519` and `telnyx-timestamp`.
pub struct TelnyxSignature {
    keys: Vec<VerifyingKey>,
}

impl TelnyxSignature {
    /// From the active public keys, each in base64.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSecret> {
        let keys = keys.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(BadSecret::Missing) } else { Ok(Self { keys }) }
    }

    /// Whether the request is authentic and fresh.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Unauthentic> {
        let timestamp = single_header(headers, "telnyx-timestamp")?;
        let signature = single_header(headers, "telnyx-signature-ed25519")?;
        check_freshness(timestamp, now)?;
        let signature = STANDARD.decode(signature).map_err(|_| Unauthentic::Malformed)?;
        let signature = Signature::from_slice(&signature).map_err(|_| Unauthentic::Malformed)?;
        let message = [timestamp.as_bytes(), b"|", body].concat();
        // Nothing here is secret: a public key and a signature that the sender knows.
        match self.keys.iter().any(|key| key.verify_strict(&message, &signature).is_ok()) {
            true => Ok(()),
            false => Err(Unauthentic::Mismatch),
        }
    }
}

fn decode(key: &str) -> Result<VerifyingKey, BadSecret> {
    if key.trim().is_empty() {
        return Err(BadSecret::Empty);
    }
    let bytes = STANDARD.decode(key.trim()).map_err(|_| BadSecret::Form { expected: EXPECTED })?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| BadSecret::Form { expected: EXPECTED })?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| BadSecret::Form { expected: EXPECTED })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};
    use http::HeaderValue;

    fn headers(timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("telnyx-timestamp", HeaderValue::from_str(timestamp).unwrap());
        headers.insert("telnyx-signature-ed25519", HeaderValue::from_str(signature).unwrap());
        headers
    }

    /// RFC 8032 §7.1, TEST 3, shows that we read keys and signatures in the forms of the standard.
    #[test]
    fn the_curve_gives_the_known_answer() {
        let key: [u8; 32] = hex::decode("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
            .unwrap()
            .try_into()
            .unwrap();
        let signature: [u8; 64] = hex::decode(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        )
        .unwrap()
        .try_into()
        .unwrap();
        let key = VerifyingKey::from_bytes(&key).unwrap();
        assert!(key.verify_strict(&[0xaf, 0x82], &Signature::from_bytes(&signature)).is_ok());
    }

    #[test]
    fn any_changed_byte_and_any_stale_time_are_refused() {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let scheme = TelnyxSignature::new([&*STANDARD.encode(signing.verifying_key().to_bytes())]).unwrap();
        let (at, body) = (1_700_000_000, br#"{"data":{}}"#);
        let sign = |message: &[u8]| STANDARD.encode(signing.sign(message).to_bytes());
        let signature = sign(&[b"1700000000|", &body[..]].concat());
        let verify = |timestamp: &str, signature: &str, body: &[u8], now| {
            scheme.verify(&headers(timestamp, signature), body, Timestamp::from_seconds(now))
        };
        assert_eq!(verify("1700000000", &signature, body, at), Ok(()));
        assert_eq!(verify("1700000001", &signature, body, at), Err(Unauthentic::Mismatch));
        assert_eq!(verify("1700000000", &signature, body, at + 301), Err(Unauthentic::Stale));
        assert_eq!(verify("1700000000", "AAAA", body, at), Err(Unauthentic::Malformed));
        for place in 0..body.len() {
            let mut changed = body.to_vec();
            changed[place] ^= 1;
            assert_eq!(verify("1700000000", &signature, &changed, at), Err(Unauthentic::Mismatch), "byte {place}");
        }
        for place in 0..signature.len() {
            let mut changed = signature.clone().into_bytes();
            changed[place] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify("1700000000", &changed, body, at).is_err(), "signature byte {place}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        assert_eq!(TelnyxSignature::new(["AAAA"]).err(), Some(BadSecret::Form { expected: EXPECTED }));
        assert_eq!(TelnyxSignature::new([""]).err(), Some(BadSecret::Empty));
    }
}

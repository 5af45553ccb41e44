//! Standard Webhooks, symmetric (`v1`): HMAC-SHA256 over `id.timestamp.body`.
//!
//! Specification: the Standard Webhooks project, `spec/standard-webhooks.md`.

use super::{BadSecret, Unauthentic, check_freshness, single_header};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use hmac::{Hmac, Mac};
use http::HeaderMap;
use outcry_domain::Timestamp;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// Libraries write secrets with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Verifies `webhook-id`, `webhook-timestamp` and `webhook-signature`.
pub struct StandardWebhooks {
    keys: Vec<Vec<u8>>,
}

impl StandardWebhooks {
    /// From the active secrets, `whsec_` and base64; the prefix may be left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSecret> {
        let keys = secrets.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(BadSecret::Missing) } else { Ok(Self { keys }) }
    }

    /// The webhook's id, the same on every retry, if it is authentic and fresh.
    pub fn verify<'a>(&self, headers: &'a HeaderMap, body: &[u8], now: Timestamp) -> Result<&'a str, Unauthentic> {
        let id = single_header(headers, "webhook-id")?;
        let timestamp = single_header(headers, "webhook-timestamp")?;
        let signatures = single_header(headers, "webhook-signature")?;
        check_freshness(timestamp, now)?;
        let mut authentic = Choice::from(0);
        for key in &self.keys {
            let expected = sign(key, id, timestamp, body);
            // Versions we do not know are skipped, not an error: the sender may be ahead of us.
            for given in signatures.split(' ').filter_map(|entry| entry.strip_prefix("v1,")) {
                authentic |= expected.as_bytes().ct_eq(given.as_bytes());
            }
        }
        if authentic.into() { Ok(id) } else { Err(Unauthentic::Mismatch) }
    }

    /// Headers that a sender with the first secret would send; for tests, the demo and examples.
    pub fn headers(&self, id: &str, at: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        let timestamp = (at.as_millis() / 1000).to_string();
        let key = self.keys.first().map_or(&[][..], Vec::as_slice);
        let signature = format!("v1,{}", sign(key, id, &timestamp, body));
        [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
    }
}

fn decode(secret: &str) -> Result<Vec<u8>, BadSecret> {
    let encoded = secret.trim();
    let encoded = encoded.strip_prefix("whsec_").unwrap_or(encoded);
    if encoded.is_empty() {
        return Err(BadSecret::Empty);
    }
    match LENIENT.decode(encoded) {
        Ok(key) if !key.is_empty() => Ok(key),
        _ => Err(BadSecret::Form { expected: "whsec_ followed by base64" }),
    }
}

fn sign(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    /// The known answer of the libraries' own tests (standard-webhooks, `test_webhooks.py`).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn verify(secret: &str, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Unauthentic> {
        StandardWebhooks::new([secret]).unwrap().verify(headers, body, Timestamp::from_seconds(now)).map(drop)
    }

    #[test]
    fn the_known_answer_verifies_with_and_without_the_prefix() {
        let headers = headers(ID, "1614265330", SIGNATURE);
        assert_eq!(verify(SECRET, &headers, BODY, AT), Ok(()));
        assert_eq!(verify("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &headers, BODY, AT), Ok(()));
    }

    #[test]
    fn what_we_sign_is_what_the_libraries_sign() {
        let signed = StandardWebhooks::new([SECRET]).unwrap().headers(ID, Timestamp::from_seconds(AT), BODY);
        assert_eq!(signed[2].1, SIGNATURE);
    }

    #[test]
    fn any_changed_byte_is_refused() {
        for place in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[place] ^= 1;
            assert_eq!(
                verify(SECRET, &headers(ID, "1614265330", SIGNATURE), &body, AT),
                Err(Unauthentic::Mismatch),
                "body byte {place}"
            );
        }
        for place in 0..ID.len() {
            let mut id = ID.as_bytes().to_vec();
            id[place] ^= 1;
            let id = String::from_utf8(id).unwrap();
            assert!(verify(SECRET, &headers(&id, "1614265330", SIGNATURE), BODY, AT).is_err(), "id byte {place}");
        }
        for place in 0..SIGNATURE.len() {
            let mut signature = SIGNATURE.as_bytes().to_vec();
            signature[place] ^= 1;
            let signature = String::from_utf8(signature).unwrap();
            assert!(verify(SECRET, &headers(ID, "1614265330", &signature), BODY, AT).is_err(), "signature {place}");
        }
        assert!(verify(SECRET, &headers(ID, "1614265331", SIGNATURE), BODY, AT).is_err());
        assert!(
            verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", &headers(ID, "1614265330", SIGNATURE), BODY, AT).is_err()
        );
    }

    #[test]
    fn five_minutes_either_way_are_believed_and_not_a_second_more() {
        let headers = headers(ID, "1614265330", SIGNATURE);
        for apart in [-300, 300] {
            assert_eq!(verify(SECRET, &headers, BODY, AT + apart), Ok(()), "{apart}");
        }
        for apart in [-301, 301, i64::MIN / 2000] {
            assert_eq!(verify(SECRET, &headers, BODY, AT + apart), Err(Unauthentic::Stale), "{apart}");
        }
    }

    #[test]
    fn during_a_rotation_either_secret_and_either_signature_will_do() {
        let old_and_new = StandardWebhooks::new(["whsec_bmV3IHNlY3JldCBmb3IgdGVzdHM=", SECRET]).unwrap();
        let listed = format!("v1a,AAAA v1,{} {SIGNATURE}", STANDARD.encode([0; 32]));
        assert!(old_and_new.verify(&headers(ID, "1614265330", &listed), BODY, Timestamp::from_seconds(AT)).is_ok());
    }

    #[test]
    fn odd_signature_headers_fail_without_a_panic() {
        for signature in ["", "v1", "v1,", "v1,g0hM9SsE", ",", " ", "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="]
        {
            assert_eq!(
                verify(SECRET, &headers(ID, "1614265330", signature), BODY, AT),
                Err(Unauthentic::Mismatch),
                "{signature:?}"
            );
        }
        assert_eq!(verify(SECRET, &headers(ID, "now", SIGNATURE), BODY, AT), Err(Unauthentic::Malformed));
        assert_eq!(verify(SECRET, &HeaderMap::new(), BODY, AT), Err(Unauthentic::Header("webhook-id")));
    }

    #[test]
    fn a_header_sent_twice_is_refused() {
        let mut headers = headers(ID, "1614265330", SIGNATURE);
        headers.append("webhook-signature", HeaderValue::from_static(SIGNATURE));
        assert_eq!(verify(SECRET, &headers, BODY, AT), Err(Unauthentic::Header("webhook-signature")));
    }

    #[test]
    fn an_empty_body_is_legal() {
        let scheme = StandardWebhooks::new([SECRET]).unwrap();
        let signed = scheme.headers(ID, Timestamp::from_seconds(AT), b"");
        assert_eq!(verify(SECRET, &headers(ID, "1614265330", &signed[2].1), b"", AT), Ok(()));
    }

    #[test]
    fn a_secret_that_protects_nothing_is_refused() {
        let refused = |secret| StandardWebhooks::new([secret]).err().unwrap();
        assert_eq!(refused(""), BadSecret::Empty);
        assert_eq!(refused("whsec_"), BadSecret::Empty);
        assert_eq!(refused("whsec_not base64"), BadSecret::Form { expected: "whsec_ followed by base64" });
        assert_eq!(StandardWebhooks::new([]).err().unwrap(), BadSecret::Missing);
    }
}

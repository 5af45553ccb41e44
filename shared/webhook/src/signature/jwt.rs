//! Vonage: a JSON Web Token (HS256) as bearer, whose `payload_hash` covers the body.
//!
//! nexmo-developer, `messages/concepts/signed-webhooks.md`; the voice guide refers to it.

use super::{BadSecret, TIMESTAMP_TOLERANCE, Unauthentic, bearer, raw_secrets};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use outcry_domain::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Verifies `Authorization: Bearer` with the account's signature secrets.
pub struct VonageJwt {
    keys: Vec<DecodingKey>,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    payload_hash: Option<String>,
}

impl VonageJwt {
    /// From the active signature secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSecret> {
        let keys = raw_secrets(secrets)?.iter().map(|secret| DecodingKey::from_secret(secret)).collect();
        let mut validation = Validation::new(Algorithm::HS256);
        // Vonage's tokens have no `exp`; their age is checked by `iat`, against the clock that we are handed.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { keys, validation })
    }

    /// Whether the request is authentic and fresh. A GET has no body, and its token no `payload_hash`.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Unauthentic> {
        let covered = match self.payload_hash(headers, now)? {
            Some(hash) => {
                hex::encode(Sha256::digest(body)).as_bytes().ct_eq(hash.to_ascii_lowercase().as_bytes()).into()
            }
            None => body.is_empty(),
        };
        if covered { Ok(()) } else { Err(Unauthentic::Mismatch) }
    }

    /// Of an authentic and fresh token: what it says the SHA-256 of the body is.
    pub fn payload_hash(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<String>, Unauthentic> {
        let token = bearer(headers)?;
        let mut authentic = None;
        for key in &self.keys {
            // Each comparison is constant-time inside the crate; the loop does not stop at the first match.
            if let Ok(verified) = decode::<Claims>(token, key, &self.validation) {
                authentic = Some(verified.claims);
            }
        }
        let claims = authentic.ok_or(Unauthentic::Mismatch)?;
        if (now.as_millis() / 1000).saturating_sub(claims.iat).unsigned_abs() > TIMESTAMP_TOLERANCE.as_secs() {
            return Err(Unauthentic::Stale);
        }
        Ok(claims.payload_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const SECRET: &str = "ZYtdTtGV3BCFN7tWmOWr1md66XsquMggr4W2cTtXtcPgfnI0Xw";
    /// The token of nexmo-developer's signed-webhooks page, recomputed.
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE1ODc0OTQ5NjIsImp0aSI6ImM1YmE4ZjI0LTFhMTQtNGMxMC1iZmRmLTNmYmU4Y2U1MTFiNSIsImlzcyI6IlZvbmFnZSIsInBheWxvYWRfaGFzaCI6ImQ2YzBlNzRiNTg1N2RmMjBlM2I3ZTUxYjMwYzBjMmE0MGVjNzNhNzc4NzliNmYwNzRkZGM3YTIzMTdkZDAzMWIiLCJhcGlfa2V5IjoiYTFiMmMzZCIsImFwcGxpY2F0aW9uX2lkIjoiYWFhYWFhYWEtYmJiYi1jY2NjLWRkZGQtMDEyMzQ1Njc4OWFiIn0.JQRKi1d0SQitmjPINfTWMpt3XZkGsLbD7EjCdXoNSbk";
    const AT: i64 = 1_587_494_962;

    fn verify(secret: &str, token: &str, body: &[u8], now: i64) -> Result<(), Unauthentic> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        VonageJwt::new([secret]).unwrap().verify(&headers, body, Timestamp::from_seconds(now))
    }

    fn token(claims: &serde_json::Value, algorithm: Algorithm) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }

    /// The page gives a hash without the body it is of, so the known answer is reached up to that comparison.
    #[test]
    fn the_known_token_is_signed_with_the_known_secret() {
        let claims = decode::<Claims>(TOKEN, &DecodingKey::from_secret(SECRET.as_bytes()), &{
            VonageJwt::new([SECRET]).unwrap().validation
        });
        assert_eq!(claims.unwrap().claims.iat, AT);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {TOKEN}")).unwrap());
        let hash = VonageJwt::new([SECRET]).unwrap().payload_hash(&headers, Timestamp::from_seconds(AT)).unwrap();
        assert_eq!(hash.as_deref(), Some("d6c0e74b5857df20e3b7e51b30c0c2a40ec73a77879b6f074ddc7a2317dd031b"));
        let other = "ZYtdTtGV3BCFN7tWmOWr1md66XsquMggr4W2cTtXtcPgf55555";
        assert_eq!(verify(other, TOKEN, b"", AT), Err(Unauthentic::Mismatch));
        assert_eq!(verify(SECRET, TOKEN, b"", AT + 301), Err(Unauthentic::Stale));
    }

    #[test]
    fn any_changed_byte_of_body_or_token_is_refused() {
        let body = br#"{"status":"answered"}"#;
        let token = token(&json!({ "iat": AT, "payload_hash": hex::encode(Sha256::digest(body)) }), Algorithm::HS256);
        assert_eq!(verify(SECRET, &token, body, AT), Ok(()));
        for place in 0..body.len() {
            let mut changed = body.to_vec();
            changed[place] ^= 1;
            assert_eq!(verify(SECRET, &token, &changed, AT), Err(Unauthentic::Mismatch), "byte {place}");
        }
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] ^= 1;
            assert!(verify(SECRET, &String::from_utf8(changed).unwrap(), body, AT).is_err(), "token byte {place}");
        }
    }

    #[test]
    fn a_body_without_a_hash_and_another_algorithm_are_refused() {
        let bare = token(&json!({ "iat": AT }), Algorithm::HS256);
        assert_eq!(verify(SECRET, &bare, b"", AT), Ok(()));
        assert_eq!(verify(SECRET, &bare, b"{}", AT), Err(Unauthentic::Mismatch));
        let longer = token(&json!({ "iat": AT }), Algorithm::HS512);
        assert_eq!(verify(SECRET, &longer, b"", AT), Err(Unauthentic::Mismatch));
        // {"alg":"none"} with the same claims and no signature.
        let none = "eyJhbGciOiJub25lIn0.eyJpYXQiOjE1ODc0OTQ5NjJ9.";
        assert_eq!(verify(SECRET, none, b"", AT), Err(Unauthentic::Mismatch));
    }
}

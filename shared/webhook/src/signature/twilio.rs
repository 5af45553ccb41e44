//! Twilio: HMAC-SHA1 over the URL as Twilio called it and, for a form, every field.
//!
//! twilio.com, "Webhooks security", and the tests of twilio-python and twilio-ruby, whose known answers stand below.

use super::{BadSecret, Unauthentic, raw_secrets, single_header};
use crate::form::Field;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// What the signature covers beside the URL.
pub enum Signed<'a> {
    /// A form: its fields are part of the signed text.
    Form(&'a [Field<'a>]),
    /// Anything else: the URL carries `bodySHA256`, and both must be right.
    Body(&'a [u8]),
}

/// Verifies `X-Twilio-Signature` with the account's auth tokens.
pub struct TwilioSignature {
    tokens: Vec<Vec<u8>>,
}

impl TwilioSignature {
    /// From the active auth tokens.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSecret> {
        Ok(Self { tokens: raw_secrets(tokens)? })
    }

    /// Whether the account's provider made this request. `url` is the configured public URL, with the query as it came:
    /// a proxy may have changed scheme, host and port on the way, and its headers can be forged.
    pub fn verify(&self, headers: &HeaderMap, url: &str, signed: &Signed<'_>) -> Result<(), Unauthentic> {
        let given = single_header(headers, "x-twilio-signature")?;
        let (fields, mut authentic) = match signed {
            Signed::Form(fields) => (sorted(fields), Choice::from(1)),
            Signed::Body(body) => (Vec::new(), body_matches(url, body)),
        };
        let mut over_url = Choice::from(0);
        for url in spellings(url) {
            for token in &self.tokens {
                over_url |= sign(token, &url, &fields).as_bytes().ct_eq(given.as_bytes());
            }
        }
        authentic &= over_url;
        if authentic.into() { Ok(()) } else { Err(Unauthentic::Mismatch) }
    }

    /// The header that Twilio would send for a form; for tests and examples.
    pub fn header(&self, url: &str, fields: &[Field<'_>]) -> (&'static str, String) {
        let token = self.tokens.first().map_or(&[][..], Vec::as_slice);
        ("x-twilio-signature", sign(token, url, &sorted(fields)))
    }
}

/// Names in order of their bytes, and of a repeated name the distinct values in order.
fn sorted<'a>(fields: &'a [Field<'a>]) -> Vec<(&'a [u8], &'a [u8])> {
    let mut pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|field| (&*field.name, &*field.value)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn sign(token: &[u8], url: &str, fields: &[(&[u8], &[u8])]) -> String {
    let mut mac =
        <Hmac<Sha1> as Mac>::new_from_slice(token).unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
    mac.update(url.as_bytes());
    for (name, value) in fields {
        mac.update(name);
        mac.update(value);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// An empty body needs no hash: there is nothing that the URL does not cover.
fn body_matches(url: &str, body: &[u8]) -> Choice {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut hashes = query.split('&').filter_map(|pair| pair.strip_prefix("bodySHA256="));
    match (hashes.next(), hashes.next()) {
        (Some(given), None) => hex::encode(Sha256::digest(body)).as_bytes().ct_eq(given.as_bytes()),
        (None, _) if body.is_empty() => Choice::from(1),
        _ => Choice::from(0),
    }
}

/// The URL, the same with its port spelled out or left out, and with an apostrophe for `%27`: senders and
/// the proxies between write it in either way, and the libraries accept each (twilio-python, twilio-node).
fn spellings(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    if let Some((scheme, rest)) = url.split_once("://") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let port = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
        spellings.push(match port {
            Some((host, _)) => format!("{scheme}://{host}{tail}"),
            None => format!("{scheme}://{authority}:{}{tail}", if scheme == "https" { 443 } else { 80 }),
        });
    }
    let with_apostrophes: Vec<String> =
        spellings.iter().filter(|url| url.contains("%27")).map(|url| url.replace("%27", "'")).collect();
    spellings.extend(with_apostrophes);
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::borrow::Cow;

    const TOKEN: &str = "12345";
    const CALL: &[(&str, &str)] = &[
        ("CallSid", "CA1234567890ABCDE"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
        ("Caller", "+14158675309"),
    ];

    fn fields(pairs: &[(&'static str, &'static str)]) -> Vec<Field<'static>> {
        pairs
            .iter()
            .map(|(name, value)| Field { name: Cow::Borrowed(name.as_bytes()), value: Cow::Borrowed(value.as_bytes()) })
            .collect()
    }

    fn verify(token: &str, url: &str, signed: &Signed<'_>, signature: &str) -> Result<(), Unauthentic> {
        let mut headers = HeaderMap::new();
        headers.insert("x-twilio-signature", HeaderValue::from_str(signature).unwrap());
        TwilioSignature::new([token]).unwrap().verify(&headers, url, signed)
    }

    fn form(url: &str, pairs: &[(&'static str, &'static str)], signature: &str) -> Result<(), Unauthentic> {
        verify(TOKEN, url, &Signed::Form(&fields(pairs)), signature)
    }

    /// twilio-python `tests/unit/test_request_validator.py`.
    #[test]
    fn known_answers_of_a_form() {
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(form(url, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="), Ok(()));
        let repeated =
            &[("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")];
        assert_eq!(form(url, repeated, "IK+Dwps556ElfBT0I3Rgjkr1wJU="), Ok(()));
    }

    /// The same tests: the port in the URL, in the signature, in both or in neither.
    #[test]
    fn known_answers_with_ports() {
        for (url, signature) in [
            ("https://mycompany.com:1234/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            ("http://mycompany.com:1234/myapp.php?foo=1&bar=2", "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
            ("https://mycompany.com/myapp.php?foo=1&bar=2", "kvajT1Ptam85bY51eRf/AJRuM3w="),
            ("http://mycompany.com/myapp.php?foo=1&bar=2", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ] {
            assert_eq!(form(url, CALL, signature), Ok(()), "{url}");
        }
    }

    /// The same tests: a JSON body is covered by its hash in the URL.
    #[test]
    fn the_known_answer_of_a_json_body_and_every_changed_byte_of_it() {
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
        let body = br#"{"property": "value", "boolean": true}"#;
        let signature = "a9nBmqA0ju/hNViExpshrM61xv4=";
        assert_eq!(verify(TOKEN, url, &Signed::Body(body), signature), Ok(()));
        for place in 0..body.len() {
            let mut changed = body.to_vec();
            changed[place] ^= 1;
            assert!(verify(TOKEN, url, &Signed::Body(&changed), signature).is_err(), "byte {place}");
        }
        assert!(verify(TOKEN, "https://mycompany.com/myapp.php?foo=1&bar=2", &Signed::Body(body), signature).is_err());
    }

    #[test]
    fn a_body_that_no_hash_covers_is_refused() {
        let url = "https://mycompany.com/hook";
        let (_, signature) = TwilioSignature::new([TOKEN]).unwrap().header(url, &[]);
        assert_eq!(verify(TOKEN, url, &Signed::Body(b""), &signature), Ok(()));
        assert_eq!(verify(TOKEN, url, &Signed::Body(b"{}"), &signature), Err(Unauthentic::Mismatch));
    }

    #[test]
    fn any_changed_byte_of_url_field_token_or_header_is_refused() {
        let (url, signature) = ("https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        for place in 0..url.len() {
            let mut changed = url.as_bytes().to_vec();
            changed[place] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(form(&changed, CALL, signature).is_err(), "{changed}");
        }
        for place in 0..signature.len() {
            let mut changed = signature.as_bytes().to_vec();
            changed[place] ^= 1;
            assert!(form(url, CALL, &String::from_utf8(changed).unwrap()).is_err(), "signature byte {place}");
        }
        let mut trimmed = CALL.to_vec();
        trimmed[1].1 = "1235";
        assert!(form(url, &trimmed, signature).is_err());
        assert!(verify("12346", url, &Signed::Form(&fields(CALL)), signature).is_err());
    }

    #[test]
    fn an_empty_value_is_signed_and_spaces_are_kept() {
        let scheme = TwilioSignature::new([TOKEN]).unwrap();
        let url = "https://mycompany.com/hook";
        let (_, signature) = scheme.header(url, &fields(&[("City", " ROMA "), ("Zip", "")]));
        assert_eq!(form(url, &[("Zip", ""), ("City", " ROMA ")], &signature), Ok(()));
        assert!(form(url, &[("Zip", ""), ("City", "ROMA")], &signature).is_err());
    }
}

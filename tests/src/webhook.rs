//! The providers' side of a webhook: what they post and how they sign it, written from their documentation and not from
//! our code, so that both cannot be wrong in the same way.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};

/// The secret of the accounts under test, in the form of Standard Webhooks (`whsec_` and base64).
pub const STANDARD_SECRET: &str = "whsec_b3V0Y3J5IHRlc3RzIHNpZ25pbmcga2V5IDMyYg==";
/// The auth token of the Twilio account under test.
pub const TWILIO_TOKEN: &str = "outcry-tests-auth-token";

/// Headers of Standard Webhooks (standardwebhooks.com, "Signature scheme"): HMAC-SHA256 over `id.timestamp.body` under the
/// decoded secret, base64, with the scheme's version before it.
pub fn standard_headers(secret: &str, id: &str, unix_seconds: i64, body: &[u8]) -> [(&'static str, String); 3] {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap_or_default();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(format!("{id}.{unix_seconds}.").as_bytes());
    mac.update(body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    [("webhook-id", id.to_owned()), ("webhook-timestamp", unix_seconds.to_string()), ("webhook-signature", signature)]
}

/// `X-Twilio-Signature` (twilio.com/docs/usage/security): HMAC-SHA1 over the URL followed by every form field, sorted by
/// name, name and value run together, base64.
pub fn twilio_signature(token: &str, url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut mac =
        Hmac::<sha1::Sha1>::new_from_slice(token.as_bytes()).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// One documented `standard` call event.
pub fn call_event(kind: &str, call_id: &str, sequence: u32, occurred_at: &str) -> Value {
    json!({
        "type": format!("call.{kind}"),
        "call_id": call_id,
        "sequence": sequence,
        "occurred_at": occurred_at,
        "direction": "inbound",
        "from": "+390212345678",
        "to": "+390698765432",
        "queue": "care",
    })
}

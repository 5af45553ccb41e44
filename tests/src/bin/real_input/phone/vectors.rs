//! Published signatures: each is verified at the time it was made, and refused after any change of a byte.

use crate::compare::Verdict;
use anyhow::{Context, Result};
use http::{HeaderMap, HeaderName, HeaderValue};
use outcry_domain::Timestamp;
use outcry_webhook::{
    form::Field,
    signature::{Signed, StandardWebhooks, TelnyxSignature, TwilioSignature, VonageJwt, VonageMethod, VonageSignature},
};
use serde_json::Value;
use std::{borrow::Cow, fs, path::Path};

/// A check of everything that a signature covers, part by part, each part a text.
type Verify = Box<dyn Fn(&[String]) -> bool>;

struct Vector {
    name: String,
    valid: bool,
    /// What is covered, the proof and the secret.
    parts: Vec<String>,
    verify: Verify,
}

/// Every `*vector*.json` of the providers.
pub fn run(folder: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::new("signature vectors");
    let (mut right, mut all, mut refused) = (0, 0, 0);
    for provider in ["twilio", "telnyx", "vonage", "standard-webhooks"] {
        let Ok(entries) = fs::read_dir(folder.join(provider)) else { continue };
        for file in entries {
            let file = file?.path();
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !name.contains("vector") || !name.ends_with(".json") {
                continue;
            }
            let vectors: Vec<Value> =
                serde_json::from_slice(&fs::read(&file)?).with_context(|| format!("reading {name}"))?;
            for (number, value) in vectors.iter().enumerate() {
                let vector = vector(provider, value).with_context(|| format!("{name}, vector {number}"))?;
                let name = format!("{provider}/{name} {number} {}", vector.name);
                all += 1;
                if (vector.verify)(&vector.parts) == vector.valid {
                    right += 1;
                } else {
                    verdict.check(false, format!("{name}: the answer should be {}", vector.valid));
                }
                if vector.valid {
                    refused += every_byte(&vector, &name, &mut verdict);
                }
            }
        }
    }
    verdict.check(right == all, format!("{right} of {all} vectors answered as published"));
    verdict.note(format!("{refused} changes of one byte refused"));
    Ok(verdict)
}

/// Changes each byte of each part; how many of these were refused.
fn every_byte(vector: &Vector, name: &str, verdict: &mut Verdict) -> usize {
    let mut refused = 0;
    for (part, text) in vector.parts.iter().enumerate() {
        for place in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let mut parts = vector.parts.clone();
            parts[part] = changed;
            if (vector.verify)(&parts) {
                verdict.check(false, format!("{name}: part {part} byte {place} changed, and still believed"));
            } else {
                refused += 1;
            }
        }
    }
    refused
}

fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static("?"));
    pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_seconds(text.parse().unwrap_or(0))
}

fn vector(provider: &str, value: &Value) -> Result<Vector> {
    let valid = value["valid"].as_bool().unwrap_or(true);
    let name = text(value, "name") + &text(value, "note") + &text(value, "method");
    let (parts, verify): (Vec<String>, Verify) = match provider {
        "twilio" => twilio(value)?,
        "telnyx" => {
            let now = at(&text(value, "telnyx_timestamp"));
            let names = ["telnyx_timestamp", "body", "telnyx_signature_ed25519", "public_key"];
            let verify = move |parts: &[String]| {
                let headers = headers(&[("telnyx-timestamp", &parts[0]), ("telnyx-signature-ed25519", &parts[2])]);
                let scheme = TelnyxSignature::new([parts[3].as_str()]);
                scheme.is_ok_and(|scheme| scheme.verify(&headers, parts[1].as_bytes(), now).is_ok())
            };
            (names.map(|name| text(value, name)).to_vec(), Box::new(verify))
        }
        "standard-webhooks" => {
            let now = at(&text(value, "webhook_timestamp"));
            let names = ["webhook_id", "webhook_timestamp", "payload", "webhook_signature", "secret"];
            let verify = move |parts: &[String]| {
                let headers = headers(&[
                    ("webhook-id", &parts[0]),
                    ("webhook-timestamp", &parts[1]),
                    ("webhook-signature", &parts[3]),
                ]);
                let scheme = StandardWebhooks::new([parts[4].as_str()]);
                scheme.is_ok_and(|scheme| scheme.verify(&headers, parts[2].as_bytes(), now).is_ok())
            };
            (names.map(|name| text(value, name)).to_vec(), Box::new(verify))
        }
        _ if value.get("token").is_some() => {
            let token = text(value, "token");
            let issued = issued(&token).context("the token has no time")?;
            let verify = move |parts: &[String]| {
                let headers = headers(&[("authorization", &format!("Bearer {}", parts[0]))]);
                let scheme = VonageJwt::new([parts[1].as_str()]);
                // The body that it is of was not published.
                scheme.is_ok_and(|scheme| scheme.payload_hash(&headers, Timestamp::from_seconds(issued)).is_ok())
            };
            (vec![token, text(value, "signature_secret")], Box::new(verify))
        }
        _ => vonage_parameters(value)?,
    };
    Ok(Vector { name, valid, parts, verify })
}

/// `iat` of a token, without believing it.
fn issued(token: &str) -> Option<i64> {
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?["iat"].as_i64()
}

fn twilio(value: &Value) -> Result<(Vec<String>, Verify)> {
    let params: Vec<(String, String)> = match value.get("params") {
        Some(params) => serde_json::from_value(params.clone()).context("params")?,
        None => Vec::new(),
    };
    let is_form = value.get("body").is_none();
    let mut parts = vec![text(value, "url"), text(value, "signature"), text(value, "auth_token"), text(value, "body")];
    // The port is in the URL that was received and not in the one that was signed: the libraries believe any port.
    if value.get("signed_over_url").is_some() {
        parts[0] = text(value, "signed_over_url");
    }
    let received = text(value, "url");
    let known = parts[0].clone();
    let names: Vec<String> = params.iter().map(|(name, _)| name.clone()).collect();
    parts.extend(params.into_iter().map(|(_, value)| value));
    let verify = move |parts: &[String]| {
        let url = if parts[0] == known { &received } else { &parts[0] };
        let fields: Vec<Field<'_>> = names
            .iter()
            .zip(&parts[4..])
            .map(|(name, value)| Field { name: Cow::Borrowed(name.as_bytes()), value: Cow::Borrowed(value.as_bytes()) })
            .collect();
        let signed = if is_form { Signed::Form(&fields) } else { Signed::Body(parts[3].as_bytes()) };
        let headers = headers(&[("x-twilio-signature", &parts[1])]);
        TwilioSignature::new([parts[2].as_str()]).is_ok_and(|scheme| scheme.verify(&headers, url, &signed).is_ok())
    };
    Ok((parts, Box::new(verify)))
}

fn vonage_parameters(value: &Value) -> Result<(Vec<String>, Verify)> {
    let method = VonageMethod::named(&text(value, "method")).context("an unknown method")?;
    let params = value["params"].as_object().context("no params")?;
    let now = at(&text(&value["params"], "timestamp"));
    let names: Vec<String> = params.keys().filter(|name| *name != "sig").cloned().collect();
    let mut parts = vec![text(value, "signature"), text(value, "secret")];
    parts.extend(names.iter().map(|name| text(&value["params"], name)));
    let verify = move |parts: &[String]| {
        let mut parameters: Vec<(String, String)> = names.iter().cloned().zip(parts[2..].iter().cloned()).collect();
        parameters.push(("sig".into(), parts[0].clone()));
        let scheme = VonageSignature::new(method, [parts[1].as_str()]);
        scheme.is_ok_and(|scheme| scheme.verify(&parameters, now).is_ok())
    };
    Ok((parts, Box::new(verify)))
}

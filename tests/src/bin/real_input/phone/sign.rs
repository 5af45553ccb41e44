//! The providers' proofs, written from their documents and not from our code, and requests with one byte changed.

use super::payloads::{FORM, JSON, Payload, pairs};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use outcry_tests::webhook::{STANDARD_SECRET, TWILIO_TOKEN, standard_headers, twilio_signature};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const VONAGE_SECRET: &str = "the signature secret of an account at Vonage";
const PATH_TOKEN: &str = "a-token-in-the-path";

/// What every account is told.
pub struct Keys {
    telnyx: SigningKey,
    aircall: BTreeSet<String>,
}

/// A request, signed.
#[derive(Clone)]
pub struct Request {
    pub get: bool,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What was changed in it.
    pub what: String,
    /// What the proof is, for what may be changed.
    proof: Proof,
}

/// What carries the proof.
#[derive(Clone, PartialEq)]
enum Proof {
    /// A header, over the body; over the URL as well if so.
    Header { name: &'static str, over_url: bool },
    /// A text in the body.
    InBody(String),
    /// The end of the path.
    InPath,
}

impl Keys {
    pub fn new(aircall: impl Iterator<Item = String>) -> Self {
        let mut aircall: BTreeSet<String> = aircall.collect();
        aircall.insert("a token in the body".into());
        Self { telnyx: SigningKey::from_bytes(&[5; 32]), aircall }
    }

    /// What the provider's page shows.
    pub fn secrets(&self, provider: &str) -> Vec<String> {
        match provider {
            "twilio" => vec![TWILIO_TOKEN.into()],
            "vonage" => vec![VONAGE_SECRET.into()],
            "aircall" => self.aircall.iter().cloned().collect(),
            "telnyx" => vec![STANDARD.encode(self.telnyx.verifying_key().to_bytes())],
            "standard" => vec![STANDARD_SECRET.into()],
            _ => vec![PATH_TOKEN.into()],
        }
    }

    /// The request that the provider would make.
    pub fn sign(&self, payload: &Payload, public_url: &str) -> Request {
        let mut target = format!("/hooks/{}", payload.provider);
        let mut headers = Vec::new();
        if !payload.content_type.is_empty() {
            headers.push(("content-type".to_owned(), payload.content_type.to_owned()));
        }
        if payload.get {
            target += &format!("?{}", payload.query);
        }
        let now = Timestamp::now().as_second();
        let body = &payload.body;
        let proof = match payload.provider {
            "twilio" => {
                let fields =
                    if payload.content_type == FORM { pairs(&String::from_utf8_lossy(body)) } else { Vec::new() };
                if payload.content_type == JSON {
                    target += &format!("?bodySHA256={}", super::hex(&Sha256::digest(body)));
                }
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let signature = twilio_signature(TWILIO_TOKEN, &format!("{public_url}{target}"), &fields);
                headers.push(("x-twilio-signature".to_owned(), signature));
                Proof::Header { name: "x-twilio-signature", over_url: true }
            }
            "vonage" => {
                let mut claims = json!({ "iat": now, "jti": "c5ba8f24", "iss": "Vonage", "api_key": "a1b2c3d" });
                if !payload.get {
                    claims["payload_hash"] = super::hex(&Sha256::digest(body)).into();
                }
                headers.push(("authorization".to_owned(), format!("Bearer {}", jwt(&claims.to_string()))));
                Proof::Header { name: "authorization", over_url: false }
            }
            "telnyx" => {
                let message = [now.to_string().as_bytes(), b"|", body].concat();
                headers.push(("telnyx-timestamp".to_owned(), now.to_string()));
                let signature = STANDARD.encode(self.telnyx.sign(&message).to_bytes());
                headers.push(("telnyx-signature-ed25519".to_owned(), signature));
                Proof::Header { name: "telnyx-signature-ed25519", over_url: false }
            }
            "standard" => {
                let signed = standard_headers(STANDARD_SECRET, "msg_1", now, body);
                headers.extend(signed.map(|(name, value)| (name.to_owned(), value)));
                Proof::Header { name: "webhook-signature", over_url: false }
            }
            "aircall" => Proof::InBody(payload.token.clone().unwrap_or_default()),
            _ => {
                target += &format!("/{PATH_TOKEN}");
                Proof::InPath
            }
        };
        Request { get: payload.get, target, headers, body: body.clone(), what: String::new(), proof }
    }
}

fn jwt(claims: &str) -> String {
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(VONAGE_SECRET.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Places in a text that are looked at: a few, spread over it.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by((length / 8).max(1))
}

/// Another byte that may stand there.
fn other(byte: u8) -> u8 {
    match byte {
        b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' => byte + 1,
        _ => b'0',
    }
}

/// The same with one byte changed of whatever the proof covers, or of the proof.
pub fn one_byte_changed(request: &Request) -> Vec<Request> {
    let mut changed = Vec::new();
    let mut change = |what: String, edit: &dyn Fn(&mut Request)| {
        let mut forged = Request { what, ..request.clone() };
        edit(&mut forged);
        changed.push(forged);
    };
    let edit_text = |text: &str, place: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = other(bytes[place]);
        String::from_utf8(bytes).unwrap_or_else(|_| text.replace(|_: char| true, "0"))
    };
    match &request.proof {
        Proof::Header { name, over_url } => {
            for place in places(request.body.len()) {
                change(format!("body byte {place}"), &|forged| forged.body[place] ^= 1);
            }
            for (index, (header, value)) in request.headers.iter().enumerate() {
                let skipped = if *header == "authorization" { "Bearer ".len() } else { 0 };
                if header == name || header.starts_with("webhook-") || header.ends_with("-timestamp") {
                    for place in places(value.len()).filter(|place| *place >= skipped) {
                        change(format!("{header} byte {place}"), &|forged| {
                            forged.headers[index].1 = edit_text(value, place);
                        });
                    }
                }
            }
            let query = request.target.find('?').filter(|_| *over_url);
            for place in query.into_iter().flat_map(|mark| places(request.target.len()).filter(move |at| *at > mark)) {
                if request.target.as_bytes()[place].is_ascii_alphanumeric() {
                    change(format!("URL byte {place}"), &|forged| forged.target = edit_text(&request.target, place));
                }
            }
        }
        Proof::InBody(token) => {
            let start = request.body.windows(token.len()).position(|window| window == token.as_bytes()).unwrap_or(0);
            for place in start..start + token.len() {
                change(format!("token byte {place}"), &|forged| forged.body[place] = other(forged.body[place]));
            }
        }
        Proof::InPath => {
            let start = request.target.len() - PATH_TOKEN.len();
            for place in start..request.target.len() {
                change(format!("token byte {place}"), &|forged| forged.target = edit_text(&request.target, place));
            }
        }
    }
    changed
}

//! Providers, one file each and all of one shape: verify, parse, facts.
//!
//! Adding one: a file with a type that implements [`Provider`], and a line in [`PROVIDERS`].

pub(crate) mod aircall;
pub mod asterisk;
mod standard;
mod telnyx;
pub(crate) mod twilio;
pub(crate) mod vonage;
mod zammad_cti;

use crate::{config::Account, item::CallFact, number::Writing};
use http::{HeaderMap, header::CONTENT_TYPE};
use outcry_domain::Timestamp;
use outcry_webhook::{
    Reply, Webhook, form,
    signature::{BadSecret, Unauthentic},
};
use serde_json::{Map, Value};

/// A webhook as a provider's code sees it.
#[derive(Clone, Copy)]
pub struct Inbound<'a> {
    /// The request.
    pub webhook: &'a Webhook,
    /// Its URL as the provider called it: the configured one, with the query as it came.
    pub url: &'a str,
    /// What stands behind the account's name in the path, for providers that have nothing but the URL to put a token in.
    pub path_token: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// Why an authentic webhook cannot be used; in words, for the sender and for dead letters. Never holds the payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub String);

/// What a provider's file provides.
pub trait Provider: Send + Sync {
    /// Methods that it sends.
    fn methods(&self) -> &'static str {
        "POST"
    }

    /// `true` when a token may follow the account's name in the path.
    fn takes_path_token(&self) -> bool {
        false
    }

    /// How it writes numbers.
    fn writing(&self) -> Writing {
        Writing::National
    }

    /// Whether the account's provider sent this.
    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic>;

    /// What it says. What is of no use for a call, such as a test ping, is no fact and no error.
    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable>;

    /// What it wants to hear.
    fn accepted(&self) -> Reply {
        Reply::accepted()
    }
}

type Open = fn(&Account) -> Result<Box<dyn Provider>, BadSecret>;

/// Every provider, by its name in the configuration.
pub const PROVIDERS: &[(&str, Open)] = &[
    ("standard", standard::open),
    ("twilio", twilio::open),
    ("vonage", vonage::open),
    ("aircall", aircall::open),
    ("telnyx", telnyx::open),
    ("zammad_cti", zammad_cti::open),
    ("asterisk", asterisk::open),
];

/// The provider of an account.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, String> {
    match PROVIDERS.iter().find(|(name, _)| *name == account.provider) {
        Some((_, open)) => open(account).map_err(|error| error.to_string()),
        None => {
            let known: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
            let given = account.provider.as_str();
            let nearest = known.iter().min_by_key(|name| strsim::levenshtein(name, given)).copied().unwrap_or_default();
            Err(format!("provider `{given}` is not known; did you mean `{nearest}`? There are {}", known.join(", ")))
        }
    }
}

/// More fields than any provider sends, with room for a customer's own parameters.
const MAX_FIELDS: usize = 1000;

/// Whether the body is a form.
fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The fields of a form or query as an object. Of a repeated name the last value stands, as in Twilio's own libraries.
fn form_object(encoded: &[u8]) -> Result<Map<String, Value>, Undecodable> {
    let fields = form::parse(encoded).map_err(|error| Undecodable(error.to_string()))?;
    if fields.len() > MAX_FIELDS {
        let count = fields.len();
        return Err(Undecodable(format!("the form has {count} fields; no provider sends more than {MAX_FIELDS}")));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(fields.iter().map(|field| (text(&field.name), Value::String(text(&field.value)))).collect())
}

/// A JSON object, or why the body is none.
fn json_object(body: &[u8]) -> Result<Map<String, Value>, Undecodable> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Undecodable("the body is not a JSON object".into())),
        // The position, not the text around it, which may be personal.
        Err(error) => {
            Err(Undecodable(format!("the body is not JSON: line {} column {}", error.line(), error.column())))
        }
    }
}

/// Takes a text out of an object; a number counts as text. Empty counts as absent.
fn take_text(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    match object.remove(name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text inside nested objects; a number counts as text. Empty counts as absent.
fn text_at(object: &Map<String, Value>, path: &[&str]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    let value = rest.iter().try_fold(object.get(*first)?, |value, name| value.get(name))?;
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Seconds, as a number or as its text, in milliseconds.
fn seconds_to_ms(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds.is_finite() && (0.0..1e9).contains(&seconds)).then(|| (seconds * 1000.0).round() as u64)
}

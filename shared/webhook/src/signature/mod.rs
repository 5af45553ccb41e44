//! Proofs that a webhook comes from who it says: one scheme a file, each a pure function of headers, bytes and time.
//!
//! Every scheme compares in constant time and goes through all active secrets without stopping early, so that neither
//! the time it takes nor its answer tells which part was wrong. What was wrong is for our metrics alone: the sender
//! gets one and the same 401.

mod ed25519;
mod jwt;
mod standard;
mod token;
mod twilio;
mod vonage_sig;

pub use ed25519::TelnyxSignature;
pub use jwt::VonageJwt;
pub use standard::StandardWebhooks;
pub use token::SharedToken;
pub use twilio::{Signed, TwilioSignature};
pub use vonage_sig::{VonageMethod, VonageSignature};

use http::HeaderMap;
use outcry_domain::Timestamp;
use std::time::Duration;

/// How far the signed time may lie from ours, either way: five minutes, as every Standard Webhooks library has it.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook is not believed. The sender is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthentic {
    /// A header that carries the proof is missing, sent twice, or not text.
    #[error("the header {0} is missing, repeated or not text")]
    Header(&'static str),
    /// The proof is there but cannot be read.
    #[error("the signature cannot be read")]
    Malformed,
    /// Signed too long ago, or in the future: perhaps a replay.
    #[error("the signed time is more than five minutes from ours")]
    Stale,
    /// Signed with something else, or over something else.
    #[error("the signature is not over these bytes with a secret of this account")]
    Mismatch,
}

impl Unauthentic {
    /// The label of this reason in metrics.
    pub fn metric_label(self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
        }
    }
}

/// A configured secret that cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Nothing to compare with.
    #[error("no secret is given: without one, anybody could post; copy it from the provider's page")]
    Missing,
    /// Nothing in it.
    #[error("the secret is empty: an empty secret authenticates anybody; copy it from the provider's page")]
    Empty,
    /// Not in the form that the scheme asks for.
    #[error("the secret is not {expected}; copy it again from the provider's page")]
    Form {
        /// What was expected.
        expected: &'static str,
    },
}

/// The one value of a header. A header sent twice is refused: two readers could take different ones.
pub fn single_header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Unauthentic> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| Unauthentic::Header(name)),
        _ => Err(Unauthentic::Header(name)),
    }
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Unauthentic> {
    let value = single_header(headers, "authorization")?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Unauthentic::Malformed),
    }
}

/// Refuses a signed time, in seconds, that is too far from now.
fn check_freshness(seconds: &str, now: Timestamp) -> Result<(), Unauthentic> {
    let signed: i64 = seconds.parse().map_err(|_| Unauthentic::Malformed)?;
    let apart = (now.as_millis() / 1000).saturating_sub(signed).unsigned_abs();
    if apart > TIMESTAMP_TOLERANCE.as_secs() { Err(Unauthentic::Stale) } else { Ok(()) }
}

/// The secrets as bytes; refuses an empty list and an empty secret.
fn raw_secrets<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Vec<Vec<u8>>, BadSecret> {
    let secrets: Vec<Vec<u8>> = secrets.into_iter().map(|secret| secret.as_bytes().to_vec()).collect();
    match secrets.iter().any(|secret| secret.trim_ascii().is_empty()) {
        true => Err(BadSecret::Empty),
        false if secrets.is_empty() => Err(BadSecret::Missing),
        false => Ok(secrets),
    }
}

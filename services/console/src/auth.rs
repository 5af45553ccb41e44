//! Who may look, and who may post.
//!
//! The API takes `Authorization: Bearer TOKEN`. The page takes that or a login cookie: an expiry time and its HMAC under the
//! token, so that no session is kept anywhere and changing the token ends them all. Comparisons take the same time
//! whatever is compared. The cookie opens reading only: posting needs the token itself, so that no other site can make a
//! browser post.

use crate::config::{Authentication, Console};
use axum::http::{HeaderMap, header};
use hmac::{Hmac, Mac};
use outcry_domain::Timestamp;
use sha2::{Digest, Sha256};
use std::time::Duration;
use subtle::ConstantTimeEq;
use url::Url;

/// How long a login lasts.
pub const SESSION: Duration = Duration::from_secs(12 * 3600);
const COOKIE: &str = "outcry_session";

/// What a request shows of who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Has the token.
    Full,
    /// May read.
    Read,
    /// Neither.
    None,
}

/// Judges requests.
pub struct Gate {
    mode: Authentication,
    token: Option<String>,
    secure_cookie: bool,
    public_host: Option<String>,
}

impl Gate {
    /// From the configuration.
    pub fn new(console: &Console) -> Self {
        let public = console.public_url.as_deref().and_then(|url| Url::parse(url).ok());
        Self {
            mode: console.authentication,
            token: console.token.as_ref().map(|token| token.expose().to_owned()),
            secure_cookie: public.as_ref().is_some_and(|url| url.scheme() == "https"),
            public_host: public.and_then(|url| url.host_str().map(str::to_owned)),
        }
    }

    /// What these headers are good for.
    pub fn access(&self, headers: &HeaderMap, now: Timestamp) -> Access {
        if bearer(headers).is_some_and(|given| self.is_token(given)) {
            return Access::Full;
        }
        let reads = match self.mode {
            Authentication::Local => self.is_for_this_machine(headers),
            Authentication::Token => cookie(headers).is_some_and(|value| self.is_session(value, now)),
        };
        if reads { Access::Read } else { Access::None }
    }

    /// `true` if this is the token.
    pub fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| same(token.as_bytes(), given.as_bytes()))
    }

    /// The cookie that a login sets.
    pub fn session_cookie(&self, now: Timestamp) -> String {
        let expiry = now.plus(SESSION).as_millis() / 1000;
        let secure = if self.secure_cookie { "; Secure" } else { "" };
        format!(
            "{COOKIE}={expiry}.{}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}",
            self.sign(expiry),
            SESSION.as_secs()
        )
    }

    /// The cookie that a logout sets.
    pub fn end_cookie(&self) -> String {
        format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
    }

    fn is_session(&self, value: &str, now: Timestamp) -> bool {
        let Some((expiry, signature)) = value.split_once('.') else { return false };
        let Ok(expiry) = expiry.parse::<i64>() else { return false };
        self.token.is_some()
            && same(self.sign(expiry).as_bytes(), signature.as_bytes())
            && now < Timestamp::from_seconds(expiry)
    }

    fn sign(&self, expiry: i64) -> String {
        let token = self.token.as_deref().unwrap_or_default();
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(token.as_bytes())
            .unwrap_or_else(|_| unreachable!("HMAC takes any key length"));
        mac.update(b"outcry.console.session");
        mac.update(&expiry.to_be_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// A browser on this machine, at our own address. A page elsewhere whose name was pointed at 127.0.0.1 says its own
    /// name in `Host` and is refused.
    fn is_for_this_machine(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return false };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        ["localhost", "127.0.0.1", "::1"].contains(&name) || self.public_host.as_deref() == Some(name)
    }
}

/// Over digests, so that not even the length shows.
fn same(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a).as_slice().ct_eq(Sha256::digest(b).as_slice()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE);
    let pairs = all.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn gate(mode: Authentication, token: Option<&str>) -> Gate {
        Gate::new(&Console { authentication: mode, token: token.map(Into::into), ..Console::default() })
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_772_355_600)
    }

    #[test]
    fn the_token_opens_everything_and_nothing_else_does() {
        let gate = gate(Authentication::Token, Some(TOKEN));
        let with = |value: &str| gate.access(&headers(&[(header::AUTHORIZATION, value)]), now());
        assert_eq!(with("Bearer 0123456789abcdef"), Access::Full);
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef"] {
            assert_eq!(with(wrong), Access::None, "{wrong}");
        }
        assert_eq!(gate.access(&HeaderMap::new(), now()), Access::None);
    }

    #[test]
    fn a_login_reads_until_it_expires_and_cannot_be_forged() {
        let gate = gate(Authentication::Token, Some(TOKEN));
        let set = gate.session_cookie(now());
        let value = set.split(';').next().unwrap();
        let with = |cookie: &str, at| gate.access(&headers(&[(header::COOKIE, cookie)]), at);
        assert_eq!(with(&format!("a=b; {value}"), now()), Access::Read);
        assert_eq!(with(value, now().plus(SESSION)), Access::None);
        let later = value.replacen("outcry_session=1", "outcry_session=2", 1);
        assert_eq!(with(&later, now()), Access::None);
        let other = self::gate(Authentication::Token, Some("another token, as long"));
        assert_eq!(other.access(&headers(&[(header::COOKIE, value)]), now()), Access::None);
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"));
    }

    #[test]
    fn local_mode_reads_for_this_machine_only() {
        let gate = gate(Authentication::Local, None);
        let with = |host: &str| gate.access(&headers(&[(header::HOST, host)]), now());
        for host in ["127.0.0.1:8080", "localhost", "[::1]:8080"] {
            assert_eq!(with(host), Access::Read, "{host}");
        }
        assert_eq!(with("rebound.example:8080"), Access::None);
        assert_eq!(
            gate.access(&headers(&[(header::HOST, "localhost"), (header::AUTHORIZATION, "Bearer ")]), now()),
            Access::Read,
            "no token configured: none is right"
        );
    }
}

//! SASL XOAUTH2 with a refreshed access token.

use crate::{
    config::{MailboxConfig, OAuth2},
    error::ImapError,
    metrics,
};
use serde::Deserialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A token is renewed this long before it runs out.
const MARGIN: Duration = Duration::from_secs(120);

/// The access token of one mailbox, shared by its folders.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<Option<(String, Instant)>>);

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
}

impl TokenCache {
    /// A token that is valid for a while. A refusal is counted and told at once, not when the old token has run out.
    pub async fn get(&self, mailbox: &MailboxConfig, oauth2: &OAuth2) -> Result<String, ImapError> {
        let mut cached = self.0.lock().await;
        if let Some((token, until)) = cached.as_ref()
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let (token, lifetime) = refresh(mailbox, oauth2).await.inspect_err(|_| {
            ::metrics::counter!(metrics::TOKEN_FAILURES, "source" => mailbox.source()).increment(1);
        })?;
        *cached = Some((token.clone(), Instant::now() + lifetime.saturating_sub(MARGIN)));
        Ok(token)
    }

    /// The server did not accept it: the next one is asked for anew.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

async fn refresh(mailbox: &MailboxConfig, oauth2: &OAuth2) -> Result<(String, Duration), ImapError> {
    let refused = |problem: String| ImapError::Token { token_url: oauth2.token_url.clone(), problem };
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("client_id", oauth2.client_id.as_str()),
        ("refresh_token", oauth2.refresh_token.expose()),
    ];
    form.extend(oauth2.client_secret.as_ref().map(|secret| ("client_secret", secret.expose())));
    form.extend(oauth2.scope.as_ref().map(|scope| ("scope", scope.as_str())));
    outcry_runtime::install_crypto_provider();
    let client =
        reqwest::Client::builder().timeout(mailbox.timeout()).build().map_err(|error| refused(error.to_string()))?;
    let response = client
        .post(&oauth2.token_url)
        .form(&form)
        .send()
        .await
        .map_err(|error| refused(error.without_url().to_string()))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| refused(error.without_url().to_string()))?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| refused(format!("HTTP {status}, not JSON")))?;
    match answer.access_token {
        Some(token) if status.is_success() => Ok((token, Duration::from_secs(answer.expires_in.unwrap_or(3600)))),
        _ => Err(refused(format!("HTTP {status}, {}", answer.error.unwrap_or_else(|| "no reason given".into())))),
    }
}

/// The one message of SASL XOAUTH2; a second challenge is the server's complaint and is answered with nothing.
pub(crate) struct XOAuth2 {
    message: Option<String>,
}

impl XOAuth2 {
    pub fn new(username: &str, token: &str) -> Self {
        Self { message: Some(format!("user={username}\x01auth=Bearer {token}\x01\x01")) }
    }
}

impl async_imap::Authenticator for XOAuth2 {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        self.message.take().unwrap_or_default()
    }
}

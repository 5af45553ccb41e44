//! SASL XOAUTH2 with a refreshed access token.
//!
//! A grant that was withdrawn, or has run out, is no trouble as long as a connection stands: it would show days later, when
//! the server ends it. So the token is renewed long before it runs out, by a task of its own, and a refusal alarms at once.

use crate::{config::OAuth2, error::ImapError, folder::Mailbox, metrics};
use outcry_runtime::{Backoff, Context};
use serde::Deserialize;
use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// A token is not used any more this long before it runs out.
const MARGIN: Duration = Duration::from_secs(120);

/// What is read of an issuer's answer.
const LARGEST_ANSWER: usize = 64 * 1024;

/// The access token of one mailbox, shared by its folders.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<Tokens>);

#[derive(Default)]
struct Tokens {
    access: Option<Access>,
    /// What the issuer gave in place of the configured one.
    renewed: Option<String>,
}

struct Access {
    token: String,
    renew_at: Instant,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<Seconds>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Some issuers write the number as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl Answer {
    fn lifetime(&self) -> Duration {
        let seconds = match &self.expires_in {
            Some(Seconds::Number(seconds)) => Some(*seconds),
            Some(Seconds::Text(text)) => text.trim().parse().ok(),
            None => None,
        };
        Duration::from_secs(seconds.unwrap_or(3600))
    }

    /// The error's code, and Microsoft's number for it. The rest of its description may name people.
    fn problem(&self) -> String {
        let code = self.error.as_deref().unwrap_or("no reason given").chars().take(80).collect::<String>();
        let number = self.error_description.as_deref().and_then(|text| text.split([':', ' ']).next());
        match number.filter(|number| number.starts_with("AADSTS") && number.len() < 20) {
            Some(number) => format!("{code} ({number})"),
            None => code,
        }
    }
}

impl TokenCache {
    /// A token that is valid for a while.
    pub async fn get(&self, mailbox: &Mailbox, oauth2: &OAuth2) -> Result<String, ImapError> {
        let mut tokens = self.0.lock().await;
        if let Some(access) = tokens.access.as_ref().filter(|access| access.until > Instant::now()) {
            return Ok(access.token.clone());
        }
        Ok(tokens.renew(mailbox, oauth2).await?.token.clone())
    }

    /// Renews the token if half of its time is over; gives how long the next one may wait.
    async fn keep(&self, mailbox: &Mailbox, oauth2: &OAuth2) -> Result<Duration, ImapError> {
        let mut tokens = self.0.lock().await;
        let now = Instant::now();
        if let Some(access) = tokens.access.as_ref().filter(|access| access.renew_at > now) {
            return Ok(access.renew_at - now);
        }
        let renewed = tokens.renew(mailbox, oauth2).await?;
        Ok(renewed.renew_at.saturating_duration_since(Instant::now()))
    }

    /// The server did not accept it: the next one is asked for anew.
    pub async fn forget(&self) {
        self.0.lock().await.access = None;
    }
}

/// Renews the mailbox's token in time until we are to stop, and says at once when that fails.
pub(crate) async fn keep_fresh(mailbox: Arc<Mailbox>, oauth2: OAuth2, context: Context) {
    let health = context.health.component(&format!("{} access token", mailbox.source));
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));
    loop {
        let pause = match mailbox.tokens.keep(&mailbox, &oauth2).await {
            Ok(pause) => {
                health.ready();
                backoff.reset();
                // A lifetime of nothing must not become a loop without a pause.
                pause.max(Duration::from_millis(500))
            }
            Err(error) => {
                tracing::error!(source = mailbox.source, %error, "no new access token; mail ends when the present one does");
                health.not_ready(error.to_string());
                backoff.next_delay()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = context.shutdown.cancelled() => return,
        }
    }
}

impl Tokens {
    async fn renew(&mut self, mailbox: &Mailbox, oauth2: &OAuth2) -> Result<&Access, ImapError> {
        let store = oauth2.renewed_token_path.as_deref();
        if self.renewed.is_none() {
            self.renewed = store.and_then(kept);
        }
        let configured = oauth2.refresh_token.expose();
        let used = self.renewed.clone().unwrap_or_else(|| configured.to_owned());
        let mut asked = ask(mailbox.config.timeout(), oauth2, &used).await;
        if asked.is_err() && used != configured {
            // Perhaps a person gave a new grant since.
            asked = ask(mailbox.config.timeout(), oauth2, configured).await.or(asked);
        }
        let answer = asked.inspect_err(|_| {
            ::metrics::counter!(metrics::TOKEN_FAILURES, "source" => mailbox.source.clone()).increment(1);
        })?;
        let lifetime = answer.lifetime();
        if let Some(renewed) = answer.refresh_token.filter(|renewed| *renewed != used) {
            if let Some(path) = store
                && let Err(error) = keep(path, &renewed)
            {
                tracing::error!(source = mailbox.source, path = %path.display(), %error, "the new refresh token cannot be kept; after a restart the old one is used");
            }
            self.renewed = Some(renewed);
        }
        let now = Instant::now();
        let access = Access {
            token: answer.access_token.unwrap_or_default(),
            renew_at: now + lifetime / 2,
            until: now + lifetime.saturating_sub(MARGIN.min(lifetime / 4)),
        };
        Ok(self.access.insert(access))
    }
}

/// The refresh-token grant of RFC 6749, section 6; the answer has an access token.
async fn ask(within: Duration, oauth2: &OAuth2, refresh_token: &str) -> Result<Answer, ImapError> {
    let token_url = oauth2.token_url();
    let refused = |problem: String| ImapError::Token { token_url: token_url.clone(), problem };
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("client_id", oauth2.client_id.as_str()),
        ("refresh_token", refresh_token),
    ];
    form.extend(oauth2.client_secret.as_ref().map(|secret| ("client_secret", secret.expose())));
    let scope = oauth2.scope();
    form.extend(scope.as_ref().map(|scope| ("scope", scope.as_str())));
    outcry_runtime::install_crypto_provider();
    let client = reqwest::Client::builder()
        .timeout(within)
        // A redirect would carry the refresh token to another place.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let mut response =
        client.post(&token_url).form(&form).send().await.map_err(|error| refused(error.without_url().to_string()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| refused(error.without_url().to_string()))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            return Err(refused(format!("HTTP {status}, and more than {LARGEST_ANSWER} bytes")));
        }
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| refused(format!("HTTP {status}, not JSON")))?;
    if status.is_success() && answer.access_token.is_some() {
        return Ok(answer);
    }
    Err(refused(format!("HTTP {status}, {}", answer.problem())))
}

fn kept(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Readable by us only, and never half written.
fn keep(path: &Path, token: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_lifetime_may_be_written_as_text() {
        assert_eq!(answer(r#"{"access_token":"a","expires_in":"3599"}"#).lifetime(), Duration::from_secs(3599));
        assert_eq!(answer(r#"{"access_token":"a","expires_in":60}"#).lifetime(), Duration::from_secs(60));
        assert_eq!(answer(r#"{"access_token":"a"}"#).lifetime(), Duration::from_secs(3600));
    }

    #[test]
    fn a_refusal_is_told_by_its_code_without_the_words_that_may_name_people() {
        let text = r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token of ana@acme.example has expired"}"#;
        assert_eq!(answer(text).problem(), "invalid_grant (AADSTS700082)");
        assert_eq!(answer(r#"{"error":"invalid_grant","error_description":"Bad Request"}"#).problem(), "invalid_grant");
    }

    #[test]
    fn a_renewed_refresh_token_is_kept_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("outcry-renewed-token-{}", std::process::id()));
        keep(&path, "first").unwrap();
        keep(&path, "second").unwrap();
        assert_eq!(kept(&path).as_deref(), Some("second"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(kept(&path), None);
    }
}

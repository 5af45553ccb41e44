//! The phone connector's front door as a provider sees it.

use crate::{
    binary,
    webhook::{STANDARD_SECRET, TWILIO_TOKEN, call_event, standard_headers, twilio_signature},
};
use anyhow::{Context, Result};
use jiff::Timestamp;
use outcry_sandbox::ports::free_port;
use serde_json::Value;
use std::time::Duration;

/// 2026-03-01T09:00:00Z.
const FIRST_EVENT: i64 = 1_772_355_600;

/// An address for the connector to listen on, and a provider that posts to it.
#[derive(Clone, Debug)]
pub struct PhoneFront {
    port: u16,
    client: reqwest::Client,
}

impl PhoneFront {
    /// On a free port.
    pub fn new() -> Result<Self> {
        Ok(Self { port: free_port()?, client: binary::client()? })
    }

    /// Where the connector listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, account: &str) -> String {
        format!("http://127.0.0.1:{}/hooks/{account}", self.port)
    }

    /// The configuration: an account `main` with signed `standard` events, and `voice` of Twilio.
    pub fn sections(&self) -> String {
        let port = self.port;
        format!(
            r#"
[phone]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
spool_dir = "{{folder}}/spool"

[[phone.accounts]]
name = "main"
brand = "acme"
provider = "standard"
secret = "{STANDARD_SECRET}"
region = "IT"

[[phone.accounts]]
name = "voice"
brand = "acme"
provider = "twilio"
secret = "{TWILIO_TOKEN}"
region = "IT"
"#
        )
    }

    /// Posts a signed `standard` event; gives the status.
    pub async fn post_standard(&self, message_id: &str, event: &Value) -> Result<u16> {
        self.post_standard_bytes(message_id, event.to_string().into_bytes()).await
    }

    /// Posts any bytes with a good signature.
    pub async fn post_standard_bytes(&self, message_id: &str, body: Vec<u8>) -> Result<u16> {
        self.post_signed(STANDARD_SECRET, message_id, Duration::ZERO, body).await
    }

    /// Posts an event under a good signature that was made so long ago; gives the status.
    pub async fn post_signed_ago(&self, message_id: &str, event: &Value, ago: Duration) -> Result<u16> {
        self.post_signed(STANDARD_SECRET, message_id, ago, event.to_string().into_bytes()).await
    }

    async fn post_signed(&self, secret: &str, message_id: &str, ago: Duration, body: Vec<u8>) -> Result<u16> {
        let signed_at = Timestamp::now().as_second() - ago.as_secs() as i64;
        let headers = standard_headers(secret, message_id, signed_at, &body);
        let mut request = self.client.post(self.url("main")).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.body(body).send().await.context("posting a call event")?.status().as_u16())
    }

    /// Posts an event under the signature of another secret; gives the status.
    pub async fn post_forged(&self, message_id: &str, event: &Value) -> Result<u16> {
        let body = event.to_string().into_bytes();
        let secret = "whsec_bm90IHRoZSBzZWNyZXQgb2YgdGhpcyBhY2NvdW50";
        self.post_signed(secret, message_id, Duration::ZERO, body).await
    }

    /// Posts a signed Twilio form; gives the status.
    pub async fn post_twilio(&self, fields: &[(&str, &str)]) -> Result<u16> {
        let url = self.url("voice");
        let signature = twilio_signature(TWILIO_TOKEN, &url, fields);
        let request = self.client.post(&url).header("x-twilio-signature", signature).form(fields);
        Ok(request.send().await.context("posting a Twilio form")?.status().as_u16())
    }

    /// Posts the event of that number, of a call of its own, the same bytes each time; gives the status.
    pub async fn post_numbered(&self, number: u32) -> Result<u16> {
        let at = Timestamp::from_second(FIRST_EVENT + i64::from(number)).context("the time of a call event")?;
        let event = call_event("answered", &format!("call-{number}"), number, &at.to_string());
        self.post_standard(&format!("msg-{number}"), &event).await
    }

    /// Posts until the connector says 2xx, as every provider does; gives up after `patience`.
    pub async fn post_until_accepted(&self, number: u32, patience: Duration) -> Result<()> {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.post_numbered(number).await;
            match answer {
                Ok(200..300) => return Ok(()),
                other if begun.elapsed() > patience => {
                    anyhow::bail!("event {number} was not accepted within {patience:?}: {other:?}")
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

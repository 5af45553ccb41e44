//! Fronts of a pipeline: a mailbox, a Mastodon server, the phone's door, the console, an SMTP receiver.

use anyhow::Result;
use jiff::Timestamp;
use outcry_sandbox::{
    MastodonOptions, MastodonServer, NewStatus, SmtpOptions, SmtpServer, Stack, ports::free_port, shared_stack,
};
use outcry_tests::{Pipeline, binary, phone::PhoneFront};
use serde_json::{Value, json};
use std::{
    future::Future,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long anything may take on a busy machine before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const CLASSIFIER: &str = "outcry-classifier";
pub const SINK: &str = "outcry-sink";
pub const EMAIL: &str = "outcry-email-connector";
pub const PHONE: &str = "outcry-phone-connector";
pub const SOCIAL: &str = "outcry-social-connector";
pub const NOTIFIER: &str = "outcry-notifier";
pub const CONSOLE: &str = "outcry-console";
/// Every service.
pub const SERVICES: [&str; 7] = [EMAIL, PHONE, SOCIAL, CLASSIFIER, SINK, NOTIFIER, CONSOLE];

/// A pipeline on the shared stack with classifier and sink running.
pub async fn classified(sections: &str) -> Pipeline<'static> {
    let mut pipeline = Pipeline::prepare(shared_stack().await, sections).await.unwrap();
    pipeline.start(&[CLASSIFIER, SINK]).await.unwrap();
    pipeline
}

/// A mailbox that no other test uses.
pub struct Mailbox {
    stack: &'static Stack,
    user: String,
}

impl Mailbox {
    pub async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { stack: shared_stack().await, user: format!("care-{}-{number}", std::process::id()) }
    }

    pub fn password(&self) -> String {
        self.stack.dovecot().unwrap().password().to_owned()
    }

    pub fn sections(&self) -> String {
        let dovecot = self.stack.dovecot().unwrap();
        format!(
            r#"
[[email.mailboxes]]
name = "support"
brand = "acme"
host = "127.0.0.1"
port = {}
tls = "none"
username = "{}"
password = "{}"
folders = ["INBOX"]
sent_folders = []
"#,
            dovecot.port(),
            self.user,
            self.password()
        )
    }

    pub async fn append(&self, raw: &[u8]) -> Result<()> {
        Ok(self.stack.dovecot()?.append(&self.user, "INBOX", raw, None).await?)
    }

    /// With an INTERNALDATE of the past.
    pub async fn append_dated(&self, raw: &[u8], received: Timestamp) -> Result<()> {
        Ok(self.stack.dovecot()?.append(&self.user, "INBOX", raw, Some(received)).await?)
    }

    /// Written straight into the Maildir: an IMAP literal cannot carry every byte.
    pub fn deliver(&self, mails: Vec<Vec<u8>>) {
        let mails = mails.into_iter().map(|raw| outcry_sandbox::Delivery { raw, internal_date: None });
        self.stack.dovecot().unwrap().deliver(&self.user, "INBOX", mails).unwrap();
    }
}

/// A mail of today from `NAME@customer.example`; its Message-ID is `KEY@customer.example`.
pub fn mail(key: &str, name: &str, subject: &str, text: &str) -> Vec<u8> {
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
    format!(
        "Message-ID: <{key}@customer.example>\r\nDate: {date}\r\nFrom: {name} <{name}@customer.example>\r\n\
         To: Acme <care@acme.example>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

/// The brand's account on a server of its own.
pub struct Mentions(pub MastodonServer);

impl Mentions {
    pub fn new(token: &str) -> Self {
        let options = MastodonOptions { token: token.to_owned(), ..MastodonOptions::default() };
        Self(MastodonServer::start(options).unwrap())
    }

    pub fn sections(&self) -> String {
        format!(
            r#"
[social]
poll_interval_seconds = 1
recheck_interval_seconds = 0

[[social.accounts]]
name = "mastodon-acme"
brand = "acme"
network = "mastodon"
base_url = "{}"
token = "{}"
"#,
            self.0.base_url(),
            self.0.token()
        )
    }

    /// A mention; gives the status id.
    pub fn mention(&self, author: &str, text: &str, at: Timestamp) -> String {
        self.0.add_mention(NewStatus::new(author, text, at))
    }
}

/// The console, with a token.
pub struct ConsoleFront {
    port: u16,
    token: String,
    client: reqwest::Client,
}

impl ConsoleFront {
    pub fn new(token: &str) -> Self {
        Self { port: free_port().unwrap(), token: token.to_owned(), client: binary::client().unwrap() }
    }

    pub fn sections(&self) -> String {
        format!("\n[console]\nlisten = \"127.0.0.1:{}\"\ntoken = \"{}\"\n", self.port, self.token)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.client.get(self.url(path)).bearer_auth(&self.token).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Posts what happened to a case under an idempotency key; gives the status.
    pub async fn post_event(&self, key: &str, case_id: &str, action: &Value) -> Result<u16> {
        let now = Timestamp::now().to_string();
        let event =
            json!({ "case_id": case_id, "brand": "acme", "occurred_at": now, "actor": "mara", "action": action });
        let request = self.client.post(self.url("/api/case-events")).bearer_auth(&self.token);
        let request = request.header("idempotency-key", key).header("content-type", "application/json");
        Ok(request.body(event.to_string()).send().await?.status().as_u16())
    }
}

/// Receives what the notifier sends.
pub struct Receipts(pub SmtpServer);

impl Receipts {
    pub fn new() -> Self {
        Self(SmtpServer::start(SmtpOptions::default()).unwrap())
    }

    pub fn sections(&self) -> String {
        format!(
            r#"
[notifier.smtp]
host = "127.0.0.1"
port = {}
tls = "none"
from = "Acme Care <care@acme.example>"

[notifier.acknowledgements]
enabled = true
"#,
            self.0.port()
        )
    }
}

/// A pipeline with every front.
pub struct Everything {
    pub mailbox: Mailbox,
    pub phone: PhoneFront,
    pub mentions: Mentions,
    pub console: ConsoleFront,
    pub receipts: Receipts,
}

impl Everything {
    pub async fn new(social_token: &str, console_token: &str) -> Self {
        Self {
            mailbox: Mailbox::new().await,
            phone: PhoneFront::new().unwrap(),
            mentions: Mentions::new(social_token),
            console: ConsoleFront::new(console_token),
            receipts: Receipts::new(),
        }
    }

    pub fn sections(&self) -> String {
        let fronts = [
            self.mailbox.sections(),
            self.phone.sections(),
            self.mentions.sections(),
            self.console.sections(),
            self.receipts.sections(),
        ];
        fronts.concat()
    }
}

/// SIGKILLs the service a few times while the load runs, and starts it again each time; gives what the load gave. At least
/// `times` kills happen, however fast the load is through.
pub async fn kill_during<T>(pipeline: &Pipeline<'_>, name: &str, times: u32, load: impl Future<Output = T>) -> T {
    let killing = async {
        for round in 0..times {
            // Not in step with any interval of the services.
            tokio::time::sleep(Duration::from_millis(700 + u64::from(round) * 370)).await;
            pipeline.kill_and_start_again(name).await.unwrap();
        }
    };
    tokio::join!(load, killing).0
}

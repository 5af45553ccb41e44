//! The demo's front doors and configuration.

use crate::{
    local,
    sample::{BRAND_ID, DOMAIN, HANDLE, MAILBOXES, PHONE_ACCOUNT, SENT_FOLDER},
};
use outcry_sandbox::{MastodonOptions, MastodonServer, Stack, free_port};
use std::{fmt::Write, path::Path};

/// Where the sample is delivered.
pub struct Doors {
    /// A server that keeps Mastodon's contract.
    pub mastodon: MastodonServer,
    /// Address of the webhooks.
    pub phone_url: String,
    /// Address of the console.
    pub console_url: String,
    /// The phone account's secret.
    pub secret: String,
    phone_port: u16,
    console_port: u16,
}

impl Doors {
    /// Starts the network's stand-in and chooses ports.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (phone_port, console_port) = (free_port()?, free_port()?);
        Ok(Self {
            mastodon: MastodonServer::start(MastodonOptions { username: HANDLE.into(), ..MastodonOptions::default() })?,
            phone_url: format!("http://127.0.0.1:{phone_port}"),
            console_url: format!("http://127.0.0.1:{console_port}"),
            secret: local::webhook_secret(folder)?,
            phone_port,
            console_port,
        })
    }
}

/// Everything but brokers and warehouse.
pub fn pipeline(stack: &Stack, doors: &Doors, folder: &Path) -> anyhow::Result<String> {
    let dovecot = stack.dovecot()?;
    let mut text = format!(
        r#"[[brands]]
id = "{BRAND_ID}"
name = "Marelda"
timezone = "Europe/Rome"
languages = ["en", "it", "pt", "de", "es", "fr", "ja", "zh"]
own_domains = ["{DOMAIN}"]
"#
    );
    for mailbox in MAILBOXES {
        write!(
            text,
            r#"
[[email.mailboxes]]
name = "{mailbox}"
brand = "{BRAND_ID}"
host = "127.0.0.1"
port = {port}
tls = "none"
username = "{mailbox}@{DOMAIN}"
password = "{password}"
folders = ["INBOX"]
sent_folders = ["{SENT_FOLDER}"]
"#,
            port = dovecot.port(),
            password = dovecot.password(),
        )?;
    }
    write!(
        text,
        r#"
[phone]
listen = "127.0.0.1:{phone}"
public_url = "{phone_url}"
spool_dir = "{spool}"

[[phone.accounts]]
name = "{PHONE_ACCOUNT}"
brand = "{BRAND_ID}"
provider = "standard"
secret = "{secret}"
region = "IT"

[social]
poll_interval_seconds = 1
recheck_interval_seconds = 1
recheck_posts = 200
recheck_batch = 100

[[social.accounts]]
name = "mastodon-{HANDLE}"
brand = "{BRAND_ID}"
network = "mastodon"
base_url = "{mastodon}"
token = "{token}"

[sink]
flush_interval_ms = 300

[notifier.smtp]
host = "127.0.0.1"
port = {smtp}
tls = "none"
from = "Marelda <support@{DOMAIN}>"

[notifier.acknowledgements]
enabled = true
max_age_hours = 720

[console]
listen = "127.0.0.1:{console}"
public_url = "{console_url}"
token = "{console_token}"
"#,
        phone = doors.phone_port,
        phone_url = doors.phone_url,
        spool = folder.join("spool").display(),
        secret = doors.secret,
        mastodon = doors.mastodon.base_url(),
        token = doors.mastodon.token(),
        smtp = stack.smtp().port(),
        console = doors.console_port,
        console_url = doors.console_url,
        console_token = local::secret(&folder.join("console.token"))?,
    )?;
    Ok(text)
}

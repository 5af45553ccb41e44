//! `email_raw/spamassassin`: real mail of 2002 and 2003, real spam among it, as bytes in a mailbox.

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use outcry_sandbox::{Delivery, Dovecot};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fs, path::Path};

const USER: &str = "real-input";

/// Puts the first `count` files, by name, into the mailbox.
pub fn deliver(dovecot: &Dovecot, folder: &Path, count: usize) -> Result<usize> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    ensure!(files.len() >= count, "{} holds {} files, not {count}", folder.display(), files.len());
    let read = |file: &Path| fs::read(file).with_context(|| format!("reading {}", file.display()));
    let mails = files.iter().take(count).map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    Ok(dovecot.deliver(USER, "INBOX", mails.into_iter().map(|raw| Delivery { raw, internal_date: None }))?)
}

/// The mailbox to read.
pub fn sections(dovecot: &Dovecot) -> String {
    format!(
        r#"
[[email.mailboxes]]
name = "support"
brand = "acme"
host = "127.0.0.1"
port = {}
tls = "none"
username = "{USER}"
password = "{}"
folders = ["INBOX"]
sent_folders = []
"#,
        dovecot.port(),
        dovecot.password()
    )
}

/// SHA-256 of each message as the server gives it to any client (line ends included), read by a client of our own.
pub async fn ledger(dovecot: &Dovecot) -> Result<BTreeSet<String>> {
    let mut session = dovecot.login(USER).await?;
    session.select("INBOX").await.context("selecting INBOX")?;
    let fetched = session.uid_fetch("1:*", "(UID BODY.PEEK[])").await.context("fetching every message")?;
    let messages: Vec<_> = fetched.try_collect().await.context("fetching every message")?;
    let digests = messages.iter().filter_map(|message| message.body()).map(|raw| format!("{:x}", Sha256::digest(raw)));
    Ok(digests.collect())
}

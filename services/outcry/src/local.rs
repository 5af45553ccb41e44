//! The configuration of the local stack: what `outcry up` writes into its data folder.
//!
//! One file per ClickHouse user, because one process hosts services that must not share one, and one file with the rest.

use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use outcry_sandbox::Stack;
use std::{
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Topics and database of `outcry up` and `outcry demo`.
pub const TOPIC_PREFIX: &str = "outcry.";
/// The database.
pub const DATABASE: &str = "outcry";

/// Who one is, to ClickHouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Changes the schema.
    Migrator,
    /// Writes.
    Sink,
    /// Reads the views.
    Analyst,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Migrator => "migrator",
            Self::Sink => "sink",
            Self::Analyst => "analyst",
        }
    }
}

/// The configuration files of a running local stack.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    folder: PathBuf,
    own: Vec<PathBuf>,
}

impl LocalConfig {
    /// Writes the files; `pipeline` is the TOML of everything but brokers and warehouse, `own` are the user's files.
    pub fn write(stack: &Stack, folder: &Path, pipeline: &str, own: &[PathBuf]) -> anyhow::Result<Self> {
        for role in [Role::Migrator, Role::Sink, Role::Analyst] {
            let text = stack.config_toml_as(role.as_str(), TOPIC_PREFIX, DATABASE);
            // Restarted on the same machine, it takes its partitions back at once.
            let text = text.replacen("[kafka]\n", "[kafka]\ninstance_id = \"local\"\nsession_timeout_ms = 10000\n", 1);
            write_private(&folder.join(format!("{}.toml", role.as_str())), &text)?;
        }
        let identity = secret(&folder.join("identity.key"))?;
        let quoted = serde_json::Value::from(identity).to_string();
        write_private(&folder.join("pipeline.toml"), &format!("[identity]\nkey = {quoted}\n\n{pipeline}"))?;
        Ok(Self { folder: folder.to_owned(), own: own.to_vec() })
    }

    /// The files that a service reads which is that user.
    pub fn files(&self, role: Role) -> Vec<PathBuf> {
        let ours = [self.folder.join(format!("{}.toml", role.as_str())), self.folder.join("pipeline.toml")];
        ours.into_iter().chain(self.own.iter().cloned()).collect()
    }

    /// The file to name to `outcry query --config`.
    pub fn analyst_file(&self) -> PathBuf {
        self.folder.join("analyst.toml")
    }
}

/// A brand with a mailbox, a phone account and a console on this machine: what `outcry up` runs when it is told nothing.
pub fn default_pipeline(stack: &Stack, folder: &Path) -> anyhow::Result<String> {
    let dovecot = stack.dovecot()?;
    let (phone, console) = (outcry_sandbox::free_port()?, outcry_sandbox::free_port()?);
    Ok(format!(
        r#"[[brands]]
id = "local"
name = "Local"
own_domains = ["local.example"]

[[email.mailboxes]]
name = "support"
brand = "local"
host = "127.0.0.1"
port = {imap}
tls = "none"
username = "support@local.example"
password = "{password}"
folders = ["INBOX"]
sent_folders = ["Sent"]

[phone]
listen = "127.0.0.1:{phone}"
public_url = "http://127.0.0.1:{phone}"
spool_dir = "{spool}"

[[phone.accounts]]
name = "main"
brand = "local"
provider = "standard"
secret = "{secret}"

[notifier.smtp]
host = "127.0.0.1"
port = {smtp}
tls = "none"
from = "support@local.example"

[notifier.acknowledgements]
enabled = true

[console]
listen = "127.0.0.1:{console}"
public_url = "http://127.0.0.1:{console}"
token = "{token}"
"#,
        imap = dovecot.port(),
        password = dovecot.password(),
        spool = folder.join("spool").display(),
        secret = webhook_secret(folder)?,
        smtp = stack.smtp().port(),
        token = secret(&folder.join("console.token"))?,
    ))
}

/// The secret of the local phone account, in the form of Standard Webhooks.
pub fn webhook_secret(folder: &Path) -> anyhow::Result<String> {
    Ok(format!("whsec_{}", secret(&folder.join("webhook.secret"))?))
}

/// The secret in that file; made at random the first time.
pub fn secret(file: &Path) -> anyhow::Result<String> {
    if let Ok(known) = std::fs::read_to_string(file) {
        return Ok(known.trim().to_owned());
    }
    let mut random = [0u8; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("reading random bytes for a secret from the system")?;
    let text = BASE64.encode(random);
    write_private(file, &text)?;
    Ok(text)
}

/// Writes a file that only this user may read.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || format!("writing {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(doing)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).with_context(doing)?;
    file.write_all(text.as_bytes()).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_only_this_user_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a").join("secret");
        let first = secret(&file).unwrap();
        assert_eq!(first, secret(&file).unwrap());
        assert_eq!(BASE64.decode(&first).unwrap().len(), 32);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

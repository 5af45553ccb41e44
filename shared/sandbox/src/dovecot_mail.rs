//! Putting mail into the local Dovecot: one by one over IMAP, as mail programs do, or thousands at once into the Maildir.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::net::TcpStream;

use crate::dovecot::{Dovecot, give};
use crate::error::{Doing, Result, SandboxError};

/// A logged-in IMAP connection.
pub type ImapSession = async_imap::Session<TcpStream>;

/// A message for [`Dovecot::deliver`].
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The raw message, RFC 5322.
    pub raw: Vec<u8>,
    /// Becomes INTERNALDATE; now when absent.
    pub internal_date: Option<Timestamp>,
}

static DELIVERED: AtomicU64 = AtomicU64::new(0);

impl Dovecot {
    /// A plain, logged-in IMAP connection.
    ///
    /// # Errors
    /// When the server is away or refuses the login.
    pub async fn login(&self, user: &str) -> Result<ImapSession> {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).await.while_doing("connecting to Dovecot")?;
        let mut client = async_imap::Client::new(stream);
        client.read_response().await.while_doing("reading Dovecot's greeting")?;
        client.login(user, self.password()).await.map_err(|(error, _)| refused(&error))
    }

    /// APPENDs one raw message, creating the folder if need be.
    ///
    /// # Errors
    /// When the server is away or refuses.
    pub async fn append(&self, user: &str, folder: &str, raw: &[u8], internal_date: Option<Timestamp>) -> Result<()> {
        let message = Delivery { raw: raw.to_vec(), internal_date };
        self.append_all(user, folder, std::slice::from_ref(&message)).await
    }

    /// APPENDs many over one connection (about 300 a second).
    ///
    /// # Errors
    /// When the server is away or refuses; those before the failing one stay.
    pub async fn append_all(&self, user: &str, folder: &str, messages: &[Delivery]) -> Result<()> {
        let mut session = self.login(user).await?;
        if folder != "INBOX" {
            // Fails if it exists, which is as good.
            let _ = session.create(folder).await;
        }
        for message in messages {
            let date = message.internal_date.map(|date| format!("\"{}\"", date.strftime("%d-%b-%Y %H:%M:%S +0000")));
            session.append(folder, None, date.as_deref(), &message.raw).await.map_err(|error| refused(&error))?;
        }
        session.logout().await.map_err(|error| refused(&error))
    }

    /// Delivers into the Maildir as a mail server would (thousands a second); Dovecot notices by itself. Gives how many.
    ///
    /// # Errors
    /// When the Maildir cannot be written.
    pub fn deliver(&self, user: &str, folder: &str, messages: impl IntoIterator<Item = Delivery>) -> Result<usize> {
        let maildir = self.maildir(user, folder)?;
        let mut count = 0;
        for message in messages {
            let number = DELIVERED.fetch_add(1, Ordering::Relaxed);
            let time: SystemTime = message.internal_date.map_or_else(SystemTime::now, Into::into);
            let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
            let name = format!("{seconds}.P{}Q{number:08}.localhost,S={}", std::process::id(), message.raw.len());
            let written = maildir.join("tmp").join(&name);
            std::fs::write(&written, &message.raw).doing("writing", &written)?;
            let file = std::fs::File::options().write(true).open(&written).doing("opening", &written)?;
            file.set_modified(time).doing("dating", &written)?;
            give(&written, self.endpoint().owner)?;
            std::fs::rename(&written, maildir.join("new").join(&name)).doing("delivering", &written)?;
            count += 1;
        }
        Ok(count)
    }

    fn maildir(&self, user: &str, folder: &str) -> Result<PathBuf> {
        let safe = |name: &str| {
            !name.is_empty() && !name.starts_with('/') && name.split('/').all(|part| !part.starts_with('.'))
        };
        if !safe(user) || !safe(folder) {
            return Err(SandboxError::Unsupported(format!("`{user}` / `{folder}` cannot be a Maildir's name")));
        }
        let owner = self.endpoint().owner;
        let mut path = self.endpoint().mail.join(user);
        make_maildir(&path, owner)?;
        if folder != "INBOX" {
            for part in folder.split('/') {
                path.push(part);
                make_maildir(&path, owner)?;
            }
        }
        Ok(path)
    }
}

fn make_maildir(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    for folder in [path.to_path_buf(), path.join("cur"), path.join("new"), path.join("tmp")] {
        if !folder.exists() {
            std::fs::create_dir(&folder).doing("creating", &folder)?;
            give(&folder, owner)?;
        }
    }
    Ok(())
}

fn refused(error: &async_imap::error::Error) -> SandboxError {
    SandboxError::Refused { server: "Dovecot", answer: error.to_string() }
}

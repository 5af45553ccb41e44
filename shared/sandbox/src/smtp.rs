//! A real SMTP listener that keeps what it receives: ESMTP with AUTH PLAIN and LOGIN (any password), 8BITMIME,
//! SMTPUTF8, SIZE and PIPELINING, dot-unstuffing, and failures on request. In process, on 127.0.0.1.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::background::{background, listen};
use crate::error::{Doing, Result};

/// How the listener behaves.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Larger messages are refused with 552.
    pub max_bytes: usize,
    /// Also write each mail into this folder as `<number>.eml`.
    pub folder: Option<PathBuf>,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self { max_bytes: 32 * 1024 * 1024, folder: None }
    }
}

/// A mail as the listener took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The envelope sender, empty for bounces.
    pub from: String,
    /// The envelope recipients.
    pub to: Vec<String>,
    /// The message, unstuffed, lines as they were sent.
    pub data: Vec<u8>,
    /// The user of AUTH, if the client authenticated.
    pub user: Option<String>,
}

/// The listener; dropping it closes the port.
#[derive(Debug)]
pub struct SmtpServer {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    options: SmtpOptions,
    mails: Mutex<Vec<ReceivedMail>>,
    failures: Mutex<VecDeque<u16>>,
}

impl SmtpServer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had, or the folder cannot be made.
    pub fn start(options: SmtpOptions) -> Result<Self> {
        if let Some(folder) = &options.folder {
            std::fs::create_dir_all(folder).doing("creating", folder)?;
        }
        let (listener, port) = listen(0)?;
        let state = Arc::new(State { options, mails: Mutex::default(), failures: Mutex::default() });
        let shared = Arc::clone(&state);
        let task = background()?.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ = Conversation::new(shared).run(stream).await;
                });
            }
        });
        Ok(Self { port, state, task })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything received so far, oldest first.
    pub fn received(&self) -> Vec<ReceivedMail> {
        lock(&self.state.mails).clone()
    }

    /// Takes what was received, leaving nothing.
    pub fn take(&self) -> Vec<ReceivedMail> {
        std::mem::take(&mut *lock(&self.state.mails))
    }

    /// Waits until at least `count` mails are there, and gives all; gives what there is after `patience`.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> Vec<ReceivedMail> {
        let deadline = Instant::now() + patience;
        while lock(&self.state.mails).len() < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.received()
    }

    /// Answers the next `count` messages with this code (4xx: try later, 5xx: refused) after DATA, and does not keep them.
    pub fn fail_next(&self, code: u16, count: usize) {
        lock(&self.state.failures).extend(std::iter::repeat_n(code, count));
    }

    /// Failures that were asked for and have not been given yet.
    pub fn failures_left(&self) -> usize {
        lock(&self.state.failures).len()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Conversation {
    state: Arc<State>,
    from: Option<String>,
    to: Vec<String>,
    user: Option<String>,
}

impl Conversation {
    fn new(state: Arc<State>) -> Self {
        Self { state, from: None, to: Vec::new(), user: None }
    }

    async fn run(mut self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        writer.write_all(b"220 localhost ESMTP outcry-sandbox\r\n").await?;
        while let Some(line) = read_line(&mut reader).await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match verb.to_ascii_uppercase().as_str() {
                "EHLO" => format!(
                    "250-localhost\r\n250-PIPELINING\r\n250-SIZE {}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN",
                    self.state.options.max_bytes
                ),
                "HELO" => "250 localhost".to_owned(),
                "AUTH" => self.authenticate(rest, &mut reader, &mut writer).await?,
                "MAIL" => self.sender(rest),
                "RCPT" if self.from.is_none() => "503 5.5.1 MAIL first".to_owned(),
                "RCPT" => {
                    self.to.push(address(rest));
                    "250 2.1.5 ok".to_owned()
                }
                "DATA" if self.to.is_empty() => "503 5.5.1 RCPT first".to_owned(),
                "DATA" => {
                    writer.write_all(b"354 end with <CRLF>.<CRLF>\r\n").await?;
                    let Some(data) = read_data(&mut reader, self.state.options.max_bytes).await? else { return Ok(()) };
                    self.finish(data)?
                }
                "RSET" => {
                    self.reset();
                    "250 2.0.0 ok".to_owned()
                }
                "NOOP" => "250 2.0.0 ok".to_owned(),
                "VRFY" => "252 2.0.0 try it".to_owned(),
                "QUIT" => {
                    writer.write_all(b"221 2.0.0 bye\r\n").await?;
                    return Ok(());
                }
                _ => "502 5.5.2 unknown command".to_owned(),
            };
            writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }

    fn sender(&mut self, rest: &str) -> String {
        let declared = rest.to_ascii_uppercase();
        let size = declared.split_whitespace().find_map(|word| word.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if size.is_some_and(|size| size > self.state.options.max_bytes) {
            return "552 5.3.4 message too large".to_owned();
        }
        self.reset();
        self.from = Some(address(rest));
        "250 2.1.0 ok".to_owned()
    }

    fn finish(&mut self, data: Vec<u8>) -> std::io::Result<String> {
        let mail = ReceivedMail {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            data,
            user: self.user.clone(),
        };
        if let Some(code) = lock(&self.state.failures).pop_front() {
            return Ok(format!("{code} {}.0.0 failing as told", code / 100));
        }
        if mail.data.len() > self.state.options.max_bytes {
            return Ok("552 5.3.4 message too large".to_owned());
        }
        let mut mails = lock(&self.state.mails);
        if let Some(folder) = &self.state.options.folder {
            std::fs::write(folder.join(format!("{:06}.eml", mails.len() + 1)), &mail.data)?;
        }
        mails.push(mail);
        Ok("250 2.0.0 kept".to_owned())
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn authenticate<R, W>(&mut self, rest: &str, reader: &mut R, writer: &mut W) -> std::io::Result<String>
    where
        R: AsyncBufReadExt + Unpin,
        W: AsyncWriteExt + Unpin,
    {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut given = (!initial.is_empty()).then(|| initial.to_owned());
        let prompts: &[&str] = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => &[""],
            "LOGIN" => &["VXNlcm5hbWU6", "UGFzc3dvcmQ6"],
            _ => return Ok("504 5.5.4 unknown mechanism".to_owned()),
        };
        let mut answers = Vec::new();
        for prompt in prompts {
            let encoded = match given.take() {
                Some(encoded) => encoded,
                None => {
                    writer.write_all(format!("334 {prompt}\r\n").as_bytes()).await?;
                    read_line(reader).await?.unwrap_or_default()
                }
            };
            use base64::Engine;
            let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).unwrap_or_default();
            answers.push(String::from_utf8_lossy(&decoded).into_owned());
        }
        let first = answers.first().cloned().unwrap_or_default();
        // PLAIN is authorisation, user and password separated by NUL (RFC 4616).
        let user = if prompts.len() == 1 { first.split('\0').nth(1).unwrap_or_default().to_owned() } else { first };
        if user.is_empty() {
            return Ok("535 5.7.8 no user".to_owned());
        }
        self.user = Some(user);
        Ok("235 2.7.0 welcome".to_owned())
    }
}

/// A command line without its line end; none at the end of the connection.
async fn read_line<R: AsyncBufReadExt + Unpin>(reader: &mut R) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let length = reader.take(64 * 1024).read_until(b'\n', &mut line).await?;
    Ok((length > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

/// The message up to the lone dot, unstuffed (RFC 5321 §4.5.2); what exceeds the cap by more than a line is dropped.
async fn read_data<R: AsyncBufReadExt + Unpin>(reader: &mut R, cap: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    let mut line = Vec::new();
    let mut at_line_start = true;
    loop {
        line.clear();
        if (&mut *reader).take(1024 * 1024).read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if at_line_start && (line == b".\r\n" || line == b".\n") {
            return Ok(Some(data));
        }
        let unstuffed = if at_line_start { line.strip_prefix(b".").unwrap_or(&line) } else { &line };
        at_line_start = line.ends_with(b"\n");
        if data.len() <= cap {
            data.extend_from_slice(unstuffed);
        }
    }
}

/// The address between the angle brackets.
fn address(text: &str) -> String {
    let after = text.split_once('<').map_or(text, |(_, after)| after);
    after.split_once('>').map_or(after, |(inside, _)| inside).trim().to_owned()
}

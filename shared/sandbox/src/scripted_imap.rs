//! An IMAP server that misbehaves on purpose: what real ones do on bad days, in the order that a test wants it.
//!
//! It knows the commands that the email-connector sends and nothing else; anything else is answered BAD. There is one
//! folder for every name, a list of mails by UID; faults are switched on by the test and counted. It lives as long as
//! the runtime it was started on.

mod answers;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, tcp::OwnedWriteHalf};
use tokio::sync::broadcast;

use crate::error::{Doing, Result};
use answers::{Part, answer};

/// What goes wrong with the body of one UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImapFault {
    /// The connection ends in the middle of the literal, this many times.
    CutInBody(u32),
    /// The server falls silent in the middle of the literal and keeps the connection, this many times.
    StallsInBody(u32),
    /// A response that is not IMAP, then nothing, this many times.
    Garbage(u32),
    /// The UID is left out of the answer, which is OK.
    Omitted,
    /// The answer is NO, also for its header.
    Refused,
    /// The answer is NO for the whole and for its beginning; its header can be had.
    BodyRefused,
    /// Someone moves it away between SEARCH and the question for its size.
    Vanishes,
    /// The mail goes on with lines of padding up to `bytes`. RFC822.SIZE says so, or tells the size without them.
    Padded {
        /// Size of the whole.
        bytes: u64,
        /// Whether RFC822.SIZE is true.
        told: bool,
    },
}

/// What the server does to every client.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// STARTTLS is answered OK; there is no TLS behind it.
    pub starttls: bool,
    /// The greeting is PREAUTH.
    pub preauth: bool,
    /// So many connections are accepted and never greeted.
    pub silent_connections: u32,
    /// IDLE is not among the capabilities.
    pub no_idle: bool,
    /// IDLE is among them and refused.
    pub refuses_idle: bool,
    /// In IDLE nothing is announced.
    pub announces_nothing: bool,
    /// In IDLE nothing is announced, and DONE is not answered.
    pub dead_in_idle: bool,
    /// SASL XOAUTH2 is taken with this token only, and LOGIN with nothing.
    pub xoauth2_token: Option<String>,
    /// Folders that do not exist.
    pub absent_folders: Vec<String>,
}

#[derive(Default)]
struct State {
    mails: BTreeMap<u32, Vec<u8>>,
    faults: HashMap<u32, ImapFault>,
    manners: Manners,
    uidvalidity: Option<u32>,
    /// INTERNALDATE of all that have none of their own.
    internal_date: String,
    internal_dates: HashMap<u32, String>,
    /// Mail that arrives while FETCH is answered, announced in that answer and never again.
    arrives_during_fetch: Option<(u32, Vec<u8>)>,
    commands: Vec<String>,
}

/// What happens to connections that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Changed,
    Expunged(u32),
    Cut,
}

/// A running server.
#[derive(Clone)]
pub struct ScriptedImap {
    port: u16,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<Event>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
}

impl ScriptedImap {
    /// Starts it with these mails.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(mails: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.while_doing("listening on 127.0.0.1")?;
        let port = listener.local_addr().while_doing("listening on 127.0.0.1")?.port();
        let server = Self {
            port,
            state: Arc::new(Mutex::new(State {
                mails: mails.into_iter().collect(),
                uidvalidity: Some(1),
                internal_date: " 2-Mar-2026 10:00:00 +0000".into(),
                ..State::default()
            })),
            events: broadcast::channel(1024).0,
            open: Arc::default(),
            most_open: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move {
                    let open = server.open.fetch_add(1, Ordering::Relaxed) + 1;
                    server.most_open.fetch_max(open, Ordering::Relaxed);
                    // Clients come and go; what a broken connection says is of no interest.
                    let _ = server.converse(stream).await;
                    server.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Ok(server)
    }

    /// Plain IMAP on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The most connections that were open at once.
    pub fn most_open(&self) -> usize {
        self.most_open.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this goes wrong with that UID.
    pub fn fault(&self, uid: u32, fault: ImapFault) {
        self.state().faults.insert(uid, fault);
    }

    /// Nothing goes wrong with it any more.
    pub fn heal(&self, uid: u32) {
        self.state().faults.remove(&uid);
    }

    /// Changes what it does to every client.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.state().manners);
    }

    /// EXAMINE tells no UIDVALIDITY.
    pub fn without_uidvalidity(&self) {
        self.state().uidvalidity = None;
    }

    /// The folder is another one from the next EXAMINE on, and its mails came in at `internal_date`.
    pub fn moved(&self, uidvalidity: u32, internal_date: &str) {
        let mut state = self.state();
        state.uidvalidity = Some(uidvalidity);
        state.internal_date = internal_date.to_owned();
    }

    /// The folder is made anew under another UIDVALIDITY: the same mails, numbered from `first` on without holes.
    pub fn renumber(&self, uidvalidity: u32, first: u32) {
        let mut state = self.state();
        state.uidvalidity = Some(uidvalidity);
        let mails = std::mem::take(&mut state.mails);
        let (mut faults, mut dates) = (HashMap::new(), HashMap::new());
        for (uid, before) in (first..).zip(mails.keys()) {
            faults.extend(state.faults.remove(before).map(|fault| (uid, fault)));
            dates.extend(state.internal_dates.remove(before).map(|date| (uid, date)));
        }
        (state.faults, state.internal_dates) = (faults, dates);
        state.mails = (first..).zip(mails.into_values()).collect();
    }

    /// INTERNALDATE of one mail.
    pub fn internal_date(&self, uid: u32, internal_date: &str) {
        self.state().internal_dates.insert(uid, internal_date.to_owned());
    }

    /// A mail arrives while the next bodies are sent.
    pub fn arrives_during_fetch(&self, uid: u32, raw: Vec<u8>) {
        self.state().arrives_during_fetch = Some((uid, raw));
    }

    /// A mail arrives, and is announced to whoever is in IDLE.
    pub fn arrive(&self, uid: u32, raw: Vec<u8>) {
        self.state().mails.insert(uid, raw);
        self.tell(Event::Changed);
    }

    /// A mail is deleted by someone else, who tells.
    pub fn expunge(&self, uid: u32) {
        let mut state = self.state();
        let sequence = state.mails.range(..=uid).count();
        state.mails.remove(&uid);
        drop(state);
        self.tell(Event::Expunged(u32::try_from(sequence).unwrap_or(u32::MAX)));
    }

    /// Every connection ends now.
    pub fn cut(&self) {
        self.tell(Event::Cut);
    }

    fn tell(&self, event: Event) {
        // An error means that nobody is connected.
        let _ = self.events.send(event);
    }

    /// UIDs that are there.
    pub fn uids(&self) -> Vec<u32> {
        self.state().mails.keys().copied().collect()
    }

    /// Every line that clients sent.
    pub fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    /// The rest of a `[[email.mailboxes]]` entry.
    pub fn settings(&self, more: &str) -> String {
        format!(
            "host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"u\"\npassword = \"p\"\ntimeout_seconds = 3\n{more}",
            self.port
        )
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut events = self.events.subscribe();
        let mut lines = BufReader::new(read).lines();
        let (silent, preauth) = {
            let manners = &mut self.state().manners;
            let silent = manners.silent_connections > 0;
            manners.silent_connections = manners.silent_connections.saturating_sub(1);
            (silent, manners.preauth)
        };
        if silent {
            // Until the client has had enough.
            while lines.next_line().await?.is_some() {}
            return Ok(());
        }
        let greeting: &[u8] = if preauth { b"* PREAUTH you are somebody\r\n" } else { b"* OK ready\r\n" };
        write.write_all(greeting).await?;
        let mut idle: Option<String> = None;
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?,
                event = events.recv() => {
                    match event {
                        Ok(Event::Cut) => return Ok(()),
                        Ok(event) if idle.is_some() => write.write_all(&self.announcement(event)).await?,
                        _ => {}
                    }
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            if line == "DONE" {
                let Some(tag) = idle.take() else { continue };
                if !self.state().manners.dead_in_idle {
                    write.write_all(format!("{tag} OK idled\r\n").as_bytes()).await?;
                }
                continue;
            }
            if line.to_ascii_uppercase().contains("AUTHENTICATE XOAUTH2") {
                self.state().commands.push("AUTHENTICATE XOAUTH2".to_owned());
                let tag = line.split(' ').next().unwrap_or_default().to_owned();
                write.write_all(b"+ \r\n").await?;
                let said = lines.next_line().await?.unwrap_or_default();
                if answers::token_is_right(&self.state(), &said) {
                    write.write_all(format!("{tag} OK\r\n").as_bytes()).await?;
                } else {
                    // {"status":"401"}, to be answered with an empty line before the NO comes.
                    write.write_all(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n").await?;
                    lines.next_line().await?;
                    write.write_all(format!("{tag} NO authentication failed\r\n").as_bytes()).await?;
                }
                continue;
            }
            let parts = answer(&mut self.state(), &line, &mut idle);
            if !send(&mut write, parts).await? {
                // It falls silent: what the client says is heard and not answered.
                while lines.next_line().await?.is_some() {}
                return Ok(());
            }
        }
    }

    fn announcement(&self, event: Event) -> Vec<u8> {
        let state = self.state();
        if state.manners.announces_nothing || state.manners.dead_in_idle {
            return Vec::new();
        }
        match event {
            Event::Expunged(sequence) => format!("* {sequence} EXPUNGE\r\n").into_bytes(),
            _ => format!("* {} EXISTS\r\n", state.mails.len()).into_bytes(),
        }
    }
}

/// `false` when the server is to fall silent; an error ends the connection.
async fn send(write: &mut OwnedWriteHalf, parts: Vec<Part>) -> std::io::Result<bool> {
    for part in parts {
        match part {
            Part::Bytes(bytes) => write.write_all(&bytes).await?,
            Part::Padding(mut left) => {
                let block: Vec<u8> = answers::PADDING.iter().copied().cycle().take(64 * 1024).collect();
                while left > 0 {
                    let now = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
                    write.write_all(&block[..now]).await?;
                    left -= now as u64;
                }
            }
            Part::Silence => return Ok(false),
            Part::Cut => return Err(std::io::ErrorKind::ConnectionReset.into()),
        }
    }
    Ok(true)
}

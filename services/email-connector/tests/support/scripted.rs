//! An IMAP server that misbehaves on purpose: what real ones do on bad days, in the order that a test wants it.
//!
//! It knows the commands that the connector sends and nothing else. Each folder is a list of mails by UID; faults are
//! switched on by the test and counted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, tcp::OwnedWriteHalf},
    sync::Notify,
};

/// What goes wrong with the body of one UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends in the middle of the literal, this many times.
    CutInBody(u32),
    /// The UID is left out of the answer, which is OK.
    Omitted,
    /// The answer is NO, also for its header.
    Refused,
    /// A response that is not IMAP, then nothing.
    Garbage(u32),
    /// Someone moves it away between SEARCH and the question for its size.
    Vanishes,
}

#[derive(Default)]
struct State {
    mails: BTreeMap<u32, Vec<u8>>,
    faults: HashMap<u32, Fault>,
    uidvalidity: Option<u32>,
    /// INTERNALDATE of all that have none of their own.
    internal_date: String,
    internal_dates: HashMap<u32, String>,
    starttls: bool,
    /// Mail that arrives while FETCH is answered, announced in that answer and never again.
    arrives_during_fetch: Option<(u32, Vec<u8>)>,
    commands: Vec<String>,
}

/// A running server. It ends with the test's runtime.
pub struct ScriptedServer {
    pub port: u16,
    state: Arc<Mutex<State>>,
    arrivals: Arc<Notify>,
}

impl ScriptedServer {
    pub async fn start(mails: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            mails: mails.into_iter().collect(),
            uidvalidity: Some(1),
            internal_date: " 2-Mar-2026 10:00:00 +0000".into(),
            ..State::default()
        }));
        let arrivals = Arc::new(Notify::new());
        let (shared, news) = (Arc::clone(&state), Arc::clone(&arrivals));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, arrivals) = (Arc::clone(&shared), Arc::clone(&news));
                tokio::spawn(async move {
                    let (read, mut write) = stream.into_split();
                    let mut lines = BufReader::new(read).lines();
                    let mut idle: Option<String> = None;
                    if write.write_all(b"* OK ready\r\n").await.is_err() {
                        return;
                    }
                    loop {
                        let arrived = arrivals.notified();
                        let line = tokio::select! {
                            line = lines.next_line() => line,
                            () = arrived, if idle.is_some() => {
                                let count = state.lock().unwrap().mails.len();
                                let _ = write.write_all(format!("* {count} EXISTS\r\n").as_bytes()).await;
                                continue;
                            }
                        };
                        let Ok(Some(line)) = line else { return };
                        if line == "DONE" {
                            let tag = idle.take().unwrap_or_default();
                            let _ = write.write_all(format!("{tag} OK idled\r\n").as_bytes()).await;
                        } else if !answer(&state, &line, &mut write, &mut idle).await {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, state, arrivals }
    }

    pub fn fault(&self, uid: u32, fault: Fault) {
        self.state.lock().unwrap().faults.insert(uid, fault);
    }

    pub fn heal(&self, uid: u32) {
        self.state.lock().unwrap().faults.remove(&uid);
    }

    pub fn without_uidvalidity(&self) {
        self.state.lock().unwrap().uidvalidity = None;
    }

    /// The folder is another one from the next EXAMINE on, and its mails came in at `internal_date`.
    pub fn moved(&self, uidvalidity: u32, internal_date: &str) {
        let mut state = self.state.lock().unwrap();
        state.uidvalidity = Some(uidvalidity);
        state.internal_date = internal_date.to_owned();
    }

    pub fn internal_date(&self, uid: u32, internal_date: &str) {
        self.state.lock().unwrap().internal_dates.insert(uid, internal_date.to_owned());
    }

    pub fn arrives_during_fetch(&self, uid: u32, raw: Vec<u8>) {
        self.state.lock().unwrap().arrives_during_fetch = Some((uid, raw));
    }

    /// A mail arrives, and is announced to whoever is in IDLE.
    pub fn arrive(&self, uid: u32, raw: Vec<u8>) {
        self.state.lock().unwrap().mails.insert(uid, raw);
        self.arrivals.notify_waiters();
    }

    /// Every line that clients sent.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }

    /// The rest of a `[[email.mailboxes]]` entry.
    pub fn settings(&self, more: &str) -> String {
        format!(
            "host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"u\"\npassword = \"p\"\ntimeout_seconds = 3\n{more}",
            self.port
        )
    }
}

/// `false` when the connection is to end.
async fn answer(state: &Mutex<State>, line: &str, write: &mut OwnedWriteHalf, idle: &mut Option<String>) -> bool {
    state.lock().unwrap().commands.push(line.to_owned());
    let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
    let upper = command.to_ascii_uppercase();
    let output: Vec<u8> = if upper.starts_with("STARTTLS") {
        let offered = state.lock().unwrap().starttls;
        format!("{tag} {}\r\n", if offered { "OK go" } else { "BAD unknown command" }).into_bytes()
    } else if upper.starts_with("CAPABILITY") {
        format!("* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK\r\n").into_bytes()
    } else if upper.starts_with("EXAMINE") {
        let state = state.lock().unwrap();
        let validity =
            state.uidvalidity.map(|value| format!("* OK [UIDVALIDITY {value}] valid\r\n")).unwrap_or_default();
        format!("* {} EXISTS\r\n{validity}{tag} OK [READ-ONLY] done\r\n", state.mails.len()).into_bytes()
    } else if upper.starts_with("UID SEARCH") {
        let found: Vec<String> = matching(&state.lock().unwrap(), &upper).iter().map(u32::to_string).collect();
        format!("* SEARCH {}\r\n{tag} OK\r\n", found.join(" ")).into_bytes()
    } else if upper.starts_with("IDLE") {
        *idle = Some(tag.to_owned());
        b"+ idling\r\n".to_vec()
    } else if upper.starts_with("UID FETCH") {
        let (output, goes_on) = fetched(&mut state.lock().unwrap(), tag, &upper);
        let written = write.write_all(&output).await.is_ok();
        return written && goes_on;
    } else {
        format!("{tag} OK\r\n").into_bytes()
    };
    write.write_all(&output).await.is_ok()
}

impl State {
    fn internal_date(&self, uid: u32) -> &str {
        self.internal_dates.get(&uid).unwrap_or(&self.internal_date)
    }
}

/// `UID set`, `SINCE date` and `ON date`, alone or together.
fn matching(state: &State, command: &str) -> Vec<u32> {
    let words: Vec<&str> = command.split_whitespace().skip(2).collect();
    let day = |text: &str| jiff::civil::Date::strptime("%d-%b-%Y", text.trim()).unwrap();
    let mut found: Vec<u32> = state.mails.keys().copied().collect();
    for pair in words.chunks(2) {
        let listed = |uid: &u32| day(state.internal_date(*uid).trim().split(' ').next().unwrap());
        match pair {
            ["UID", set] => {
                let wanted = wanted(&state.mails, set);
                found.retain(|uid| wanted.contains(uid));
            }
            ["SINCE", date] => found.retain(|uid| listed(uid) >= day(date)),
            ["ON", date] => found.retain(|uid| listed(uid) == day(date)),
            other => panic!("the connector searches for {other:?}"),
        }
    }
    found
}

fn wanted(mails: &BTreeMap<u32, Vec<u8>>, set: &str) -> Vec<u32> {
    let last = mails.keys().next_back().copied().unwrap_or(0);
    let number = |text: &str| if text == "*" { last } else { text.parse().unwrap() };
    let mut found = Vec::new();
    for part in set.split(',') {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        let (low, high) = (number(low), number(high));
        found.extend(mails.range(low.min(high)..=low.max(high)).map(|(uid, _)| *uid));
    }
    found
}

/// The answer to a FETCH, and whether the connection goes on.
fn fetched(state: &mut State, tag: &str, command: &str) -> (Vec<u8>, bool) {
    let uids = wanted(&state.mails, command.split_whitespace().nth(2).unwrap());
    let mut output = Vec::new();
    if !command.contains("BODY.PEEK[") {
        for uid in uids {
            if state.faults.get(&uid) == Some(&Fault::Vanishes) {
                state.mails.remove(&uid);
                continue;
            }
            let date = state.internal_date(uid).to_owned();
            let size = state.mails[&uid].len();
            output.extend(format!("* {uid} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \"{date}\")\r\n").bytes());
        }
        output.extend(format!("{tag} OK\r\n").bytes());
        return (output, true);
    }
    let header_only = command.contains("[HEADER]");
    for uid in uids {
        let raw = state.mails[&uid].clone();
        let shown = if header_only {
            raw.split_at(raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4).0
        } else {
            &raw
        };
        let label = if header_only { "BODY[HEADER]" } else { "BODY[]" };
        let head = format!("* {uid} FETCH (UID {uid} {label} {{{}}}\r\n", shown.len());
        match state.faults.get_mut(&uid) {
            Some(Fault::CutInBody(left)) if *left > 0 && !header_only => {
                *left -= 1;
                output.extend(head.bytes());
                output.extend(&shown[..shown.len() / 2]);
                return (output, false);
            }
            Some(Fault::Garbage(left)) if *left > 0 && !header_only => {
                *left -= 1;
                output.extend(b"* )( this is not IMAP {{{\r\n".iter());
                return (output, true);
            }
            Some(Fault::Omitted) => continue,
            Some(Fault::Refused) => {
                output.extend(format!("{tag} NO cannot read\r\n").bytes());
                return (output, true);
            }
            _ => {
                output.extend(head.bytes());
                output.extend(shown);
                output.extend(b")\r\n");
            }
        }
    }
    if let Some((uid, raw)) = state.arrives_during_fetch.take() {
        state.mails.insert(uid, raw);
        output.extend(format!("* {} EXISTS\r\n", state.mails.len()).bytes());
    }
    output.extend(format!("{tag} OK\r\n").bytes());
    (output, true)
}

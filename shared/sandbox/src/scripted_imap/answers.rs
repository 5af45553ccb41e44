//! What the scripted server says to one line.

use std::collections::BTreeMap;

use base64::Engine;

use super::{ImapFault, State};

/// What mails go on with: lines of 64 bytes.
pub(super) const PADDING: &[u8; 64] = b"nothing of interest is written here, and so it goes on and o\r\n\r\n";

/// A piece of an answer.
pub(super) enum Part {
    Bytes(Vec<u8>),
    /// So many bytes of padding.
    Padding(u64),
    /// From here on nothing is said.
    Silence,
    /// The connection ends.
    Cut,
}

/// The whole answer.
pub(super) fn answer(state: &mut State, line: &str, idle: &mut Option<String>) -> Vec<Part> {
    state.commands.push(line.to_owned());
    let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
    let upper = command.to_ascii_uppercase();
    let manners = &state.manners;
    let text = if upper.starts_with("STARTTLS") {
        format!("{tag} {}\r\n", if manners.starttls { "OK go" } else { "BAD unknown command" })
    } else if upper.starts_with("CAPABILITY") {
        let idle = if manners.no_idle { "" } else { " IDLE" };
        format!("* CAPABILITY IMAP4rev1{idle}\r\n{tag} OK\r\n")
    } else if upper.starts_with("LOGIN") && manners.xoauth2_token.is_some() {
        format!("{tag} NO passwords are not taken any more\r\n")
    } else if upper.starts_with("LOGIN") || upper.starts_with("NOOP") || upper.starts_with("LOGOUT") {
        format!("{tag} OK\r\n")
    } else if upper.starts_with("EXAMINE") {
        examined(state, tag, command)
    } else if upper.starts_with("UID SEARCH") {
        match matching(state, &upper) {
            Some(found) => {
                let found: Vec<String> = found.iter().map(u32::to_string).collect();
                format!("* SEARCH {}\r\n{tag} OK\r\n", found.join(" "))
            }
            None => format!("{tag} BAD no such search\r\n"),
        }
    } else if upper.starts_with("IDLE") && manners.refuses_idle {
        format!("{tag} NO not today\r\n")
    } else if upper.starts_with("IDLE") {
        *idle = Some(tag.to_owned());
        "+ idling\r\n".to_owned()
    } else if upper.starts_with("UID FETCH") {
        let uids = upper.split_whitespace().nth(2).map(|set| wanted(&state.mails, set)).unwrap_or_default();
        return if upper.contains("BODY.PEEK[") { bodies(state, tag, &upper, &uids) } else { sizes(state, tag, &uids) };
    } else {
        format!("{tag} BAD unknown command\r\n")
    };
    vec![Part::Bytes(text.into_bytes())]
}

fn examined(state: &State, tag: &str, command: &str) -> String {
    let folder = command.split_once(' ').map_or("", |(_, name)| name.trim_matches('"'));
    if state.manners.absent_folders.iter().any(|absent| absent == folder) {
        return format!("{tag} NO Mailbox doesn't exist\r\n");
    }
    let validity = state.uidvalidity.map(|value| format!("* OK [UIDVALIDITY {value}] valid\r\n")).unwrap_or_default();
    let next = state.mails.keys().next_back().map_or(1, |uid| uid.saturating_add(1));
    format!("* {} EXISTS\r\n{validity}* OK [UIDNEXT {next}] next\r\n{tag} OK [READ-ONLY] done\r\n", state.mails.len())
}

/// SASL XOAUTH2's one message: `user=…^Aauth=Bearer TOKEN^A^A`, in Base64.
pub(super) fn token_is_right(state: &State, said: &str) -> bool {
    let Some(token) = &state.manners.xoauth2_token else {
        return false;
    };
    let said = base64::engine::general_purpose::STANDARD.decode(said.trim()).unwrap_or_default();
    said == format!("user=u\x01auth=Bearer {token}\x01\x01").into_bytes()
}

impl State {
    fn internal_date_of(&self, uid: u32) -> &str {
        self.internal_dates.get(&uid).unwrap_or(&self.internal_date)
    }
}

/// `UID set`, `SINCE date` and `ON date`, alone or together; `None` for anything else.
fn matching(state: &State, command: &str) -> Option<Vec<u32>> {
    let words: Vec<&str> = command.split_whitespace().skip(2).collect();
    let day = |text: &str| jiff::civil::Date::strptime("%d-%b-%Y", text.trim()).ok();
    let mut found: Vec<u32> = state.mails.keys().copied().collect();
    for pair in words.chunks(2) {
        let received = |uid: &u32| state.internal_date_of(*uid).trim().split(' ').next().and_then(day);
        match pair {
            ["UID", set] => {
                let wanted = wanted(&state.mails, set);
                found.retain(|uid| wanted.contains(uid));
            }
            ["SINCE", date] => found.retain(|uid| received(uid) >= day(date)),
            ["ON", date] => found.retain(|uid| received(uid) == day(date)),
            _ => return None,
        }
    }
    Some(found)
}

fn wanted(mails: &BTreeMap<u32, Vec<u8>>, set: &str) -> Vec<u32> {
    let last = mails.keys().next_back().copied().unwrap_or(0);
    let number = |text: &str| if text == "*" { last } else { text.parse().unwrap_or(0) };
    let mut found = Vec::new();
    for part in set.split(',') {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        let (low, high) = (number(low), number(high));
        found.extend(mails.range(low.min(high)..=low.max(high)).map(|(uid, _)| *uid));
    }
    found
}

fn sizes(state: &mut State, tag: &str, uids: &[u32]) -> Vec<Part> {
    let mut output = String::new();
    for uid in uids {
        if state.faults.get(uid) == Some(&ImapFault::Vanishes) {
            state.mails.remove(uid);
            continue;
        }
        let length = state.mails.get(uid).map_or(0, Vec::len) as u64;
        let size = match state.faults.get(uid) {
            Some(ImapFault::Padded { bytes, told: true }) => length.max(*bytes),
            _ => length,
        };
        let date = state.internal_date_of(*uid);
        output.push_str(&format!("* {uid} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE \"{date}\")\r\n"));
    }
    output.push_str(&format!("{tag} OK\r\n"));
    vec![Part::Bytes(output.into_bytes())]
}

/// Which part of a mail is asked for.
enum Section {
    Whole,
    Header,
    Beginning(u64),
}

impl Section {
    fn of(command: &str) -> Self {
        let beginning = command.split_once("BODY.PEEK[]<0.").and_then(|(_, rest)| rest.split_once('>'));
        match beginning.and_then(|(number, _)| number.parse().ok()) {
            Some(most) => Self::Beginning(most),
            None if command.contains("[HEADER]") => Self::Header,
            None => Self::Whole,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Whole => "BODY[]",
            Self::Header => "BODY[HEADER]",
            Self::Beginning(_) => "BODY[]<0>",
        }
    }
}

fn bodies(state: &mut State, tag: &str, command: &str, uids: &[u32]) -> Vec<Part> {
    let section = Section::of(command);
    let header_only = matches!(section, Section::Header);
    let mut parts = Vec::new();
    let text = |text: String| Part::Bytes(text.into_bytes());
    for uid in uids {
        let mut shown = state.mails.get(uid).cloned().unwrap_or_default();
        let fault = state.faults.get_mut(uid);
        let mut padding = match fault {
            Some(ImapFault::Padded { bytes, .. }) => bytes.saturating_sub(shown.len() as u64),
            _ => 0,
        };
        match section {
            Section::Header => {
                let end = shown.windows(4).position(|four| four == b"\r\n\r\n").map_or(shown.len(), |at| at + 4);
                shown.truncate(end);
                padding = 0;
            }
            Section::Beginning(most) => {
                shown.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                padding = padding.min(most - shown.len() as u64);
            }
            Section::Whole => {}
        }
        let head = format!("* {uid} FETCH (UID {uid} {} {{{}}}\r\n", section.label(), shown.len() as u64 + padding);
        match fault {
            Some(ImapFault::CutInBody(left) | ImapFault::StallsInBody(left)) if *left > 0 && !header_only => {
                *left -= 1;
                let cut = matches!(fault, Some(ImapFault::CutInBody(_)));
                parts.push(text(head));
                parts.push(Part::Bytes(shown[..shown.len() / 2].to_vec()));
                parts.push(if cut { Part::Cut } else { Part::Silence });
                return parts;
            }
            Some(ImapFault::Garbage(left)) if *left > 0 && !header_only => {
                *left -= 1;
                parts.push(Part::Bytes(b"* )( this is not IMAP {{{\r\n".to_vec()));
                return parts;
            }
            Some(ImapFault::Omitted) => continue,
            Some(ImapFault::BodyRefused) if header_only => {}
            Some(ImapFault::Refused | ImapFault::BodyRefused) => {
                parts.push(text(format!("{tag} NO cannot read\r\n")));
                return parts;
            }
            _ => {}
        }
        parts.extend([text(head), Part::Bytes(shown), Part::Padding(padding), Part::Bytes(b")\r\n".to_vec())]);
    }
    if let Some((uid, raw)) = state.arrives_during_fetch.take() {
        state.mails.insert(uid, raw);
        parts.push(text(format!("* {} EXISTS\r\n", state.mails.len())));
    }
    parts.push(text(format!("{tag} OK\r\n")));
    parts
}

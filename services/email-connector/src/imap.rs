//! The few commands we send, each answered in full or failed.
//!
//! async-imap parses the protocol; its streams of FETCH responses end silently when the connection does, and pass over a
//! tagged NO. So every command here reads until its own tagged answer and takes nothing but OK. After any error but a
//! refusal the connection must be dropped: unread answers may still be on the wire.

use crate::{connect::Transport, error::ImapError, metered::Allowance};
use async_imap::{
    Session,
    extensions::idle::Handle,
    imap_proto::{AttributeValue, MailboxDatum, Response, ResponseCode, Status},
};
use outcry_domain::Timestamp;
use outcry_runtime::CancellationToken;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// async-imap hands out one type whose name it keeps to itself: a response with the buffer that it borrows from. Its
/// stream of responses gives the name away.
type ResponseData = <<Handle<Box<dyn Transport>> as futures::Stream>::Item as Outcome>::Value;

trait Outcome {
    type Value;
}

impl<T, E> Outcome for Result<T, E> {
    type Value = T;
}

/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 32 * 1024;

/// What a short answer may be long: the server may add news of its own to any.
const SHORT_ANSWER: u64 = 1024 * 1024;

/// UIDs of some millions of mails.
const LONG_ANSWER: u64 = 32 * 1024 * 1024;

/// A folder as EXAMINE shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selected {
    /// `None` when the server gives none, which RFC 3501 forbids and some do.
    pub uidvalidity: Option<u32>,
}

/// A mail as the server describes it before its body is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub uid: u32,
    pub size: u32,
    pub internal_date: Option<Timestamp>,
}

/// A FETCH response with a body, kept in the buffer that it was read into.
pub(crate) struct Fetched {
    pub uid: u32,
    response: ResponseData,
}

impl Fetched {
    /// The bytes; `None` when the server says NIL.
    pub fn bytes(&self) -> Option<&[u8]> {
        let Response::Fetch(_, attributes) = self.response.parsed() else {
            return None;
        };
        attributes.iter().find_map(|attribute| match attribute {
            AttributeValue::BodySection { data, .. } => data.as_deref(),
            _ => None,
        })
    }
}

/// Why waiting for mail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The folder changed.
    Changed,
    /// Nothing happened for long enough to look anyway.
    TimedOut,
    /// We are to stop.
    Interrupted,
}

/// A session that is logged in.
pub(crate) struct Connection {
    session: Session<Box<dyn Transport>>,
    allowance: Allowance,
    within: Duration,
    idle: bool,
    exists: u32,
    announced: bool,
}

impl Connection {
    pub async fn new(
        session: Session<Box<dyn Transport>>,
        allowance: Allowance,
        within: Duration,
    ) -> Result<Self, ImapError> {
        let mut connection = Self { session, allowance, within, idle: false, exists: 0, announced: false };
        let mut idle = false;
        connection
            .command("CAPABILITY", "CAPABILITY".into(), SHORT_ANSWER, within, |response| {
                if let Response::Capabilities(capabilities) = response.parsed() {
                    idle |= capabilities.iter().any(|capability| {
                        matches!(capability, async_imap::imap_proto::Capability::Atom(name) if name.eq_ignore_ascii_case("IDLE"))
                    });
                }
            })
            .await?;
        connection.idle = idle;
        Ok(connection)
    }

    /// The server announces new mail.
    pub fn can_idle(&self) -> bool {
        self.idle
    }

    /// Mail was announced since the last [`Connection::forget_announcements`], whatever command brought the news.
    pub fn announced(&self) -> bool {
        self.announced
    }

    /// To be called before a look at the folder, never after: what arrives in between must not be forgotten.
    pub fn forget_announcements(&mut self) {
        self.announced = false;
    }

    /// Keeps count of the folder. A server may repeat EXISTS with every answer: only growth is news. What others expunge
    /// makes room below it.
    fn note_change(&mut self, response: &Response<'_>) -> bool {
        match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => {
                self.announced |= *count > self.exists;
                self.exists = *count;
                true
            }
            Response::Expunge(_) => {
                self.exists = self.exists.saturating_sub(1);
                true
            }
            _ => false,
        }
    }

    /// Sends one command and reads to its tagged answer, which must be OK; no more than `bytes`, no longer than `within`.
    async fn command(
        &mut self,
        name: &'static str,
        text: String,
        bytes: u64,
        within: Duration,
        mut on_response: impl FnMut(ResponseData),
    ) -> Result<(), ImapError> {
        self.allowance.set(bytes);
        let deadline = Instant::now() + within;
        let late = |_| ImapError::Timeout { command: name, after: within };
        let tag = timeout_at(deadline, self.session.run_command(&text)).await.map_err(late)?;
        let tag = tag.map_err(|error| ImapError::Lost { command: name, problem: crate::connect::plainly(&error) })?;
        loop {
            let response = timeout_at(deadline, self.read(name)).await.map_err(late)??;
            match response.parsed() {
                Response::Done { tag: answered, status, outcome } if *answered == tag => {
                    let words =
                        outcome.information.as_deref().unwrap_or_default().chars().take(200).collect::<String>();
                    return match status {
                        Status::Ok => Ok(()),
                        Status::No => Err(ImapError::Refused { command: name, answer: format!("NO {words}") }),
                        _ => Err(ImapError::Refused { command: name, answer: format!("BAD {words}") }),
                    };
                }
                Response::Data { status: Status::Bye, outcome } => {
                    let words =
                        outcome.information.as_deref().unwrap_or_default().chars().take(200).collect::<String>();
                    return Err(ImapError::Lost {
                        command: name,
                        problem: format!("the server said goodbye: {words}"),
                    });
                }
                other => {
                    if !self.note_change(other) {
                        on_response(response);
                    }
                }
            }
        }
    }

    async fn read(&mut self, command: &'static str) -> Result<ResponseData, ImapError> {
        match self.session.read_response().await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(ImapError::Lost { command, problem: "the connection ended".into() }),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Err(ImapError::Overflow { command }),
            // The library's own text would quote what it was reading, and that is mail.
            Err(error) if error.kind() == std::io::ErrorKind::Other => {
                Err(ImapError::Lost { command, problem: "the answer cannot be read".into() })
            }
            Err(error) => Err(ImapError::Lost { command, problem: error.to_string() }),
        }
    }

    /// Opens a folder without the right to change it.
    pub async fn examine(&mut self, folder: &str) -> Result<Selected, ImapError> {
        let mut selected = Selected::default();
        let opened =
            self.command("EXAMINE", format!("EXAMINE {}", quoted(folder)), SHORT_ANSWER, self.within, |response| {
                if let Response::Data { outcome, .. } = response.parsed()
                    && let Some(ResponseCode::UidValidity(value)) = outcome.code
                {
                    selected.uidvalidity = Some(value);
                }
            });
        match opened.await {
            Err(ImapError::Refused { answer, .. }) => Err(ImapError::Folder { folder: folder.to_owned(), answer }),
            opened => opened.map(|()| selected),
        }
    }

    /// UIDs that match, ascending.
    pub async fn search(&mut self, criteria: &str) -> Result<Vec<u32>, ImapError> {
        let mut uids = Vec::new();
        self.command("UID SEARCH", format!("UID SEARCH {criteria}"), LONG_ANSWER, self.within * 2, |response| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = response.parsed() {
                uids.extend_from_slice(found);
            }
        })
        .await?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// Sizes and dates. A UID that is not in the answer was expunged, or the server does not tell.
    pub async fn describe(&mut self, uids: &[u32]) -> Result<Vec<Listed>, ImapError> {
        let mut listed = Vec::with_capacity(uids.len());
        let command = format!("UID FETCH {} (UID RFC822.SIZE INTERNALDATE)", uid_set(uids));
        self.command("UID FETCH of sizes", command, LONG_ANSWER, self.within * 2, |response| {
            if let Response::Fetch(_, attributes) = response.parsed() {
                listed.extend(listed_in(attributes));
            }
        })
        .await?;
        listed.retain(|mail: &Listed| uids.contains(&mail.uid));
        listed.sort_unstable_by_key(|mail| mail.uid);
        listed.dedup_by_key(|mail| mail.uid);
        Ok(listed)
    }

    /// Whole mails, without marking them as read.
    pub async fn bodies(&mut self, uids: &[u32], bytes: u64) -> Result<Vec<Fetched>, ImapError> {
        self.fetch("UID FETCH of bodies", format!("UID FETCH {} (UID BODY.PEEK[])", uid_set(uids)), bytes).await
    }

    /// The header and as much of the body as `most` bytes hold.
    pub async fn beginning(&mut self, uid: u32, most: u32) -> Result<Option<Fetched>, ImapError> {
        let command = format!("UID FETCH {uid} (UID BODY.PEEK[]<0.{most}>)");
        Ok(self
            .fetch("UID FETCH of a beginning", command, u64::from(most))
            .await?
            .into_iter()
            .find(|mail| mail.uid == uid))
    }

    /// The header alone.
    pub async fn header(&mut self, uid: u32) -> Result<Option<Fetched>, ImapError> {
        let command = format!("UID FETCH {uid} (UID BODY.PEEK[HEADER])");
        Ok(self.fetch("UID FETCH of a header", command, 0).await?.into_iter().find(|mail| mail.uid == uid))
    }

    async fn fetch(&mut self, name: &'static str, command: String, bytes: u64) -> Result<Vec<Fetched>, ImapError> {
        let within = self.within + Duration::from_secs(bytes / SLOWEST);
        let mut fetched = Vec::new();
        // Servers count bytes a little differently, and may send news in between.
        let allowed = bytes + bytes / 4 + SHORT_ANSWER;
        self.command(name, command, allowed, within, |response| {
            let uid = match response.parsed() {
                Response::Fetch(_, attributes) => attributes.iter().find_map(|attribute| match attribute {
                    AttributeValue::Uid(uid) => Some(*uid),
                    _ => None,
                }),
                _ => None,
            };
            if let Some(uid) = uid {
                let mail = Fetched { uid, response };
                // A change of flags is announced in the same form, without a body.
                if mail.bytes().is_some() {
                    fetched.push(mail);
                }
            }
        })
        .await?;
        Ok(fetched)
    }

    /// Lets the server speak, so that `exists` is of now.
    pub async fn noop(&mut self) -> Result<(), ImapError> {
        self.command("NOOP", "NOOP".into(), SHORT_ANSWER, self.within, |_| {}).await
    }

    /// Waits with IDLE until mail is announced, at most `most`. News that came with an earlier answer ends the wait at once.
    pub async fn idle(&mut self, most: Duration, stop: &CancellationToken) -> Result<Waited, ImapError> {
        const NAME: &str = "IDLE";
        let within = self.within;
        let late = |_| ImapError::Timeout { command: NAME, after: within };
        let lost = |error: async_imap::error::Error| ImapError::Lost {
            command: NAME,
            problem: crate::connect::plainly(&error),
        };
        self.allowance.set(SHORT_ANSWER);
        let tag = timeout(within, self.session.run_command(NAME)).await.map_err(late)?.map_err(lost)?;
        let mut granted = false;
        let mut deadline = Instant::now() + within;
        let waited = loop {
            let response = tokio::select! {
                response = timeout_at(deadline, self.read(NAME)) => response,
                () = stop.cancelled(), if granted => break Waited::Interrupted,
            };
            let Ok(response) = response else {
                if granted {
                    break Waited::TimedOut;
                }
                return Err(ImapError::Timeout { command: NAME, after: within });
            };
            match response?.parsed() {
                Response::Continue(_) => {
                    granted = true;
                    deadline = Instant::now() + most;
                }
                Response::Done { outcome, .. } => {
                    self.idle = false;
                    let words = outcome.information.as_deref().unwrap_or_default().to_owned();
                    return Err(ImapError::Refused { command: NAME, answer: words });
                }
                Response::Data { status: Status::Bye, .. } => {
                    return Err(ImapError::Lost { command: NAME, problem: "the server said goodbye".into() });
                }
                other => {
                    self.note_change(other);
                }
            }
            if granted && self.announced {
                break Waited::Changed;
            }
        };
        timeout(within, self.session.run_command_untagged("DONE")).await.map_err(late)?.map_err(lost)?;
        let deadline = Instant::now() + within;
        loop {
            let response = timeout_at(deadline, self.read(NAME)).await.map_err(late)??;
            match response.parsed() {
                Response::Done { tag: answered, .. } if *answered == tag => return Ok(waited),
                other => {
                    self.note_change(other);
                }
            }
        }
    }

    /// Says goodbye, if the server listens.
    pub async fn logout(mut self) {
        let _ = timeout(Duration::from_secs(2), self.session.logout()).await;
    }
}

fn listed_in(attributes: &[AttributeValue<'_>]) -> Option<Listed> {
    let (mut uid, mut size, mut internal_date) = (None, None, None);
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(value) => uid = Some(*value),
            AttributeValue::Rfc822Size(value) => size = Some(*value),
            AttributeValue::InternalDate(text) => internal_date = parse_internal_date(text),
            _ => {}
        }
    }
    Some(Listed { uid: uid?, size: size?, internal_date })
}

/// `" 2-Mar-2026 10:00:00 +0100"`.
fn parse_internal_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?.to_timestamp().ok().map(Timestamp::from)
}

/// A sequence set such as `1:3,7`.
pub(crate) fn uid_set(uids: &[u32]) -> String {
    let mut set = String::new();
    let mut position = 0;
    while let Some(first) = uids.get(position).copied() {
        let mut last = first;
        position += 1;
        while uids.get(position).copied() == last.checked_add(1) && position < uids.len() {
            last += 1;
            position += 1;
        }
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&first.to_string());
        if last > first {
            set.push(':');
            set.push_str(&last.to_string());
        }
    }
    set
}

/// A folder's name as a quoted string in the modified UTF-7 of RFC 3501, 5.1.3.
fn quoted(folder: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    let mut output = String::from("\"");
    let mut units: Vec<u16> = Vec::new();
    let flush = |units: &mut Vec<u16>, output: &mut String| {
        if units.is_empty() {
            return;
        }
        output.push('&');
        let (mut buffer, mut bits) = (0u32, 0u32);
        for unit in units.drain(..) {
            buffer = buffer << 16 | u32::from(unit);
            bits += 16;
            while bits >= 6 {
                bits -= 6;
                output.push(char::from(ALPHABET[(buffer >> bits & 63) as usize]));
            }
            buffer &= (1 << bits) - 1;
        }
        if bits > 0 {
            output.push(char::from(ALPHABET[(buffer << (6 - bits) & 63) as usize]));
        }
        output.push('-');
    };
    for character in folder.chars() {
        if matches!(character, ' '..='~') {
            flush(&mut units, &mut output);
            match character {
                '&' => output.push_str("&-"),
                '"' | '\\' => output.extend(['\\', character]),
                other => output.push(other),
            }
        } else {
            units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
        }
    }
    flush(&mut units, &mut output);
    output.push('"');
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_uids_are_short() {
        assert_eq!(uid_set(&[1, 2, 3, 7, 9, 10, u32::MAX]), "1:3,7,9:10,4294967295");
        assert_eq!(uid_set(&[]), "");
    }

    #[test]
    fn folders_with_accents_have_their_name_on_the_wire() {
        // The examples of RFC 3501, 5.1.3.
        assert_eq!(quoted("~peter/mail/台北/日本語"), "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"");
        assert_eq!(quoted("Éléments & \"x\""), "\"&AMk-l&AOk-ments &- \\\"x\\\"\"");
    }

    #[test]
    fn internal_dates_are_instants() {
        let expected: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
        assert_eq!(parse_internal_date(" 2-Mar-2026 10:00:00 +0100"), Some(expected));
        assert_eq!(parse_internal_date("02-Mar-2026 09:00:00 +0000"), Some(expected));
        assert_eq!(parse_internal_date("soon"), None);
    }
}

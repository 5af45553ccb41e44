//! One look at a folder: what is new, what is missing, what cannot be had.

use super::Folder;
use crate::{
    backfill::Report,
    checkpoint::{Checkpoint, OpenWindow},
    coverage::{self, Window},
    error::ImapError,
    imap::{Connection, Listed},
    metrics,
    produce::Arrived,
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use outcry_domain::{ContactId, Timestamp};
use outcry_kafka::Checkpoints;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How many sizes are asked for at once.
const DESCRIBED_AT_ONCE: usize = 1000;

/// How many mails are fetched at once, and how many bytes of them.
const FETCHED_AT_ONCE: usize = 250;
const BYTES_AT_ONCE: u64 = 4 * 1024 * 1024;

/// What is kept of a mail that is over the cap.
const BEGINNING_BYTES: u32 = 256 * 1024;

/// A mail that broke this many connections, or was refused as often, is passed over.
const MAX_TRIES: u32 = 3;

/// Why a mail has a header and no body here, or is missing.
const UNREADABLE: &str = "unreadable";

/// A sweep looks at this many UIDs below the highest, whatever their date.
const SWEPT_UIDS: u32 = 1000;

/// Windows with gaps that are remembered.
const MAX_OPEN_WINDOWS: usize = 50;

/// What a backfill reads.
#[derive(Clone)]
pub(crate) struct Past {
    /// Received on this day or later.
    pub since: Date,
    /// The places of the connector that reads what comes in.
    pub live: Arc<Checkpoints>,
    /// Is told how many of how many mails of the folder are settled.
    pub report: Arc<Report>,
}

impl Past {
    /// What the connector did not reach yet is left to it.
    pub(super) fn bound(&self, place: &mut Checkpoint, folder: &str) {
        let live = self.live.get::<Checkpoint>(folder).filter(|live| live.uidvalidity == place.uidvalidity);
        // With `since` it may have passed over everything that there is.
        place.until = place.until.or(live.map(|live| live.last_uid).filter(|last| *last > 0));
        if place.covered_until.is_unknown() {
            place.covered_until = midnight(self.since);
        }
    }
}

fn since(date: Date) -> String {
    format!("SINCE {}", date.strftime("%-d-%b-%Y"))
}

impl Folder {
    fn place(&mut self) -> &mut Checkpoint {
        self.checkpoint.get_or_insert_default()
    }

    /// Reads everything above the highest UID that was handed on; `true` if there was anything.
    pub(super) async fn pass(&mut self, connection: &mut Connection) -> Result<bool, ImapError> {
        let now = self.producer.now();
        let last = self.place().last_uid;
        let first_run = last == 0;
        let Some(next) = last.checked_add(1) else {
            return Ok(false);
        };
        let mut criteria = format!("UID {next}:*");
        if let Some(past) = &self.past {
            // From the first on, so that coverage counts all of the window after an interruption too.
            criteria = format!("UID 1:* {}", since(past.since));
        } else if first_run && let Some(Ok(date)) = self.mailbox.config.since_date() {
            criteria.push(' ');
            criteria.push_str(&since(date));
        }
        let mut all = connection.search(&criteria).await?;
        if let Some(until) = self.place().until {
            all.retain(|uid| *uid <= until);
        } else if self.past.is_some() {
            self.place().until = Some(all.last().copied().unwrap_or(0));
        }
        // "n:*" always names the last mail, even below n (RFC 3501, 6.4.8).
        let uids: Vec<u32> = all.iter().copied().filter(|uid| *uid >= next).collect();
        if let Some(reread) = &mut self.place().reread {
            reread.listed_until.get_or_insert(uids.last().copied().unwrap_or(0));
        }
        self.place().note_listed(&uids);
        let unsettled = self.place().unsettled();
        self.take(connection, &unsettled).await?;
        if self.context.shutdown.is_cancelled() {
            return Ok(!uids.is_empty());
        }
        // A backfill tells of its whole window.
        let listed = if self.past.is_some() { &all } else { &uids };
        let covered = self.place().covered_until;
        if !uids.is_empty() || first_run || self.note.is_some() || self.past.is_some() {
            let missing = listed.iter().copied().filter(|uid| self.place().is_gap(*uid)).collect();
            let note = self.note.take();
            self.tell(Window { start: covered, end: now, listed: listed.len() as u64, missing, note }).await?;
            self.place().covered_until = now;
            self.save(true).await?;
        }
        self.gauge(now);
        Ok(!uids.is_empty())
    }

    /// Compares what the server lists of the last two days, and of the last thousand UIDs, with what was handed on: mail
    /// can appear below a UID that was seen before. Gaps are tried once more.
    pub(super) async fn sweep(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        let last = self.place().last_uid;
        if last == 0 {
            return Ok(());
        }
        let today = jiff::Timestamp::from(self.producer.now()).to_zoned(TimeZone::UTC).date();
        let yesterday = today.saturating_sub(1.day());
        let recent = connection.search(&since(yesterday)).await?;
        let highest = connection.search(&format!("UID {}:{last}", last.saturating_sub(SWEPT_UIDS).max(1))).await?;
        let wanted = self.first_uid_wanted(connection).await?;
        let interval = Duration::from_secs(self.mailbox.config.sweep_interval_seconds);
        let retry_gaps = self.gaps_tried_at.is_none_or(|at| at.elapsed() >= interval);
        let mut missing: Vec<u32> = recent.iter().chain(&highest).copied().filter(|uid| *uid >= wanted).collect();
        if retry_gaps {
            self.gaps_tried_at = Some(Instant::now());
            missing.extend(self.place().gaps.iter().map(|gap| gap.uid).collect::<Vec<_>>());
        }
        missing.sort_unstable();
        missing.dedup();
        // What is above is for the next pass, which lists all of it: not only what is dated of these days.
        missing.retain(|uid| *uid <= last && !self.place().seen.contains(*uid));
        missing.retain(|uid| retry_gaps || !self.place().is_gap(*uid));
        for uid in &missing {
            self.tries.remove(uid);
        }
        self.take(connection, &missing).await?;
        if self.context.shutdown.is_cancelled() {
            return Ok(());
        }
        for (day, end) in [(yesterday, today), (today, today.saturating_add(1.day()))] {
            let mut listed = connection.search(&format!("ON {}", day.strftime("%-d-%b-%Y"))).await?;
            listed.retain(|uid| *uid <= last);
            let missing = listed.iter().copied().filter(|uid| self.place().is_gap(*uid)).collect();
            let window =
                Window { start: midnight(day), end: midnight(end), listed: listed.len() as u64, missing, note: None };
            self.tell(window).await?;
        }
        self.tell_open_windows().await?;
        let looked_at = last.saturating_sub(SWEPT_UIDS).min(recent.first().copied().unwrap_or(u32::MAX));
        self.place().seen.forget_below(looked_at);
        self.save(true).await
    }

    /// With `since`, mail below the first UID of that day was left alone on purpose.
    async fn first_uid_wanted(&mut self, connection: &mut Connection) -> Result<u32, ImapError> {
        match self.mailbox.config.since_date() {
            Some(Ok(date)) => {
                let wanted = connection.search(&since(date)).await?;
                Ok(wanted.first().copied().unwrap_or(u32::MAX))
            }
            _ => Ok(1),
        }
    }

    async fn tell(&mut self, window: Window) -> Result<(), ImapError> {
        if !window.missing.is_empty() {
            let (start, end) = (window.start, window.end);
            let open = OpenWindow { start, end, listed: window.listed, missing: window.missing.clone() };
            let windows = &mut self.place().open_windows;
            windows.retain(|other| (other.start, other.end) != (start, end));
            windows.push(open);
            let surplus = windows.len().saturating_sub(MAX_OPEN_WINDOWS);
            windows.drain(..surplus);
        }
        coverage::tell(&self.producer, &self.mailbox, &self.name, window).await?;
        Ok(())
    }

    /// Windows that were told with gaps are told again when some of those have closed.
    async fn tell_open_windows(&mut self) -> Result<(), ImapError> {
        let mut windows = std::mem::take(&mut self.place().open_windows);
        for window in &mut windows {
            let before = window.missing.len();
            window.missing.retain(|uid| self.checkpoint.as_ref().is_some_and(|place| place.is_gap(*uid)));
            if window.missing.len() < before {
                coverage::tell(&self.producer, &self.mailbox, &self.name, Window::from(&*window)).await?;
            }
        }
        windows.retain(|window| !window.missing.is_empty());
        self.place().open_windows = windows;
        Ok(())
    }

    /// Fetches and hands on exactly these mails.
    async fn take(&mut self, connection: &mut Connection, uids: &[u32]) -> Result<(), ImapError> {
        let mut done = 0;
        self.report(0, uids.len());
        for group in uids.chunks(DESCRIBED_AT_ONCE) {
            let listed = match connection.describe(group).await {
                // One mail that cannot be described must not hide the others.
                Err(error) if error.leaves_connection() => self.describe_singly(connection, group).await?,
                listed => listed?,
            };
            for batch in batches(&listed, self.mailbox.config.max_message_bytes, self.careful_until) {
                if self.context.shutdown.is_cancelled() {
                    return self.save(true).await;
                }
                self.take_batch(connection, batch).await?;
                self.save(false).await?;
                done += batch.len();
                self.report(done, uids.len());
            }
            for uid in group.iter().filter(|uid| listed.binary_search_by_key(uid, |mail| &mail.uid).is_err()) {
                if self.context.shutdown.is_cancelled() {
                    return self.save(true).await;
                }
                self.settle_absent(connection, *uid).await?;
            }
        }
        Ok(())
    }

    fn report(&self, done: usize, of: usize) {
        if let Some(past) = &self.past {
            (past.report)(&self.name, done as u64, of as u64);
        }
    }

    async fn describe_singly(&mut self, connection: &mut Connection, uids: &[u32]) -> Result<Vec<Listed>, ImapError> {
        let mut listed = Vec::new();
        for uid in uids {
            match connection.describe(&[*uid]).await {
                Err(error) if error.leaves_connection() => {}
                found => listed.extend(found?),
            }
        }
        Ok(listed)
    }

    async fn take_batch(&mut self, connection: &mut Connection, batch: &[Listed]) -> Result<(), ImapError> {
        if let [mail] = batch {
            return self.take_one(connection, *mail).await;
        }
        let uids: Vec<u32> = batch.iter().map(|mail| mail.uid).collect();
        let bytes = batch.iter().map(|mail| u64::from(mail.size)).sum();
        let fetched = match connection.bodies(&uids, bytes).await {
            Ok(fetched) => fetched,
            Err(error) => {
                // It is not known which of them did it: the next attempt asks for one at a time.
                self.careful_until = self.careful_until.max(uids.last().copied().unwrap_or(0));
                if error.leaves_connection() {
                    for mail in batch {
                        self.take_one(connection, *mail).await?;
                    }
                    return Ok(());
                }
                return Err(error);
            }
        };
        let mut absent = Vec::new();
        let mut arrived = Vec::with_capacity(batch.len());
        let mut fetched: std::collections::HashMap<u32, _> = fetched.into_iter().map(|mail| (mail.uid, mail)).collect();
        for listed in batch {
            match fetched.remove(&listed.uid) {
                Some(fetched) => {
                    let known_as = self.place().known_as(listed.uid);
                    arrived.push(Arrived { listed: *listed, fetched, cut: None, known_as });
                }
                None => absent.push(*listed),
            }
        }
        self.hand_on(arrived).await?;
        for mail in absent {
            self.take_one(connection, mail).await?;
        }
        Ok(())
    }

    /// One mail: whole, or its beginning if it is too large, or its header if it cannot be read, or a gap.
    async fn take_one(&mut self, connection: &mut Connection, mail: Listed) -> Result<(), ImapError> {
        let tries = self.tries.entry(mail.uid).or_default();
        *tries += 1;
        let tries = *tries;
        let known_as = self.place().known_as(mail.uid);
        if tries > MAX_TRIES && known_as.is_some() {
            // Nothing is new: it stays a gap that is known by its header.
            self.tries.remove(&mail.uid);
            return Ok(());
        }
        let (outcome, cut) = if tries > MAX_TRIES {
            (connection.header(mail.uid).await, Some(UNREADABLE))
        } else if mail.size > self.mailbox.config.max_message_bytes || self.larger.contains(&mail.uid) {
            (connection.beginning(mail.uid, BEGINNING_BYTES).await, Some("too_large"))
        } else {
            let whole = connection.bodies(&[mail.uid], u64::from(mail.size)).await;
            (whole.map(|mails| mails.into_iter().find(|found| found.uid == mail.uid)), None)
        };
        match outcome {
            Ok(Some(fetched)) => {
                self.tries.remove(&mail.uid);
                let header_only = cut == Some(UNREADABLE);
                let contacts = self.hand_on(vec![Arrived { listed: mail, fetched, cut, known_as }]).await?;
                if header_only {
                    self.place().note_unread(mail.uid, contacts.first().copied());
                    self.save(true).await?;
                }
                Ok(())
            }
            Ok(None) => self.settle_absent(connection, mail.uid).await,
            Err(error) if tries >= 2 * MAX_TRIES => {
                self.give_up(mail.uid, mail.internal_date, &error.to_string()).await?;
                if error.leaves_connection() { Ok(()) } else { Err(error) }
            }
            Err(error) if error.leaves_connection() => Box::pin(self.take_one(connection, mail)).await,
            Err(error) => {
                if matches!(error, ImapError::Overflow { .. }) {
                    self.larger.insert(mail.uid);
                }
                self.careful_until = self.careful_until.max(mail.uid);
                Err(error)
            }
        }
    }

    /// The server listed it and did not deliver it: either it is gone by now, or it is a gap.
    async fn settle_absent(&mut self, connection: &mut Connection, uid: u32) -> Result<(), ImapError> {
        let still_there = !connection.search(&format!("UID {uid}")).await?.is_empty();
        if !still_there {
            self.tries.remove(&uid);
            self.place().note_expunged(uid);
            return Ok(());
        }
        let tries = self.tries.entry(uid).or_default();
        *tries += 1;
        if *tries <= MAX_TRIES
            && let Some(mail) = connection.describe(&[uid]).await?.into_iter().next()
        {
            return Box::pin(self.take_one(connection, mail)).await;
        }
        self.give_up(uid, None, "the server lists it and does not deliver it").await
    }

    async fn give_up(&mut self, uid: u32, received_at: Option<Timestamp>, why: &str) -> Result<(), ImapError> {
        self.tries.remove(&uid);
        if !self.place().is_gap(uid) {
            let uidvalidity = self.place().uidvalidity;
            let detail = format!("{};UIDVALIDITY={uidvalidity};UID={uid}: {why}", self.name);
            tracing::error!(
                source = self.mailbox.source,
                folder = self.name,
                uid,
                why,
                "a mail cannot be had; going on without it"
            );
            let received_at = received_at.unwrap_or(Timestamp::UNKNOWN);
            self.producer.dead_letter(UNREADABLE, &detail, received_at).await?;
        }
        self.place().note_gap(uid, why);
        self.save(true).await
    }

    async fn hand_on(&mut self, arrived: Vec<Arrived>) -> Result<Vec<ContactId>, ImapError> {
        let uids: Vec<u32> = arrived.iter().map(|mail| mail.listed.uid).collect();
        let (uidvalidity, reread) = (self.place().uidvalidity, self.place().reread);
        let contacts = self.producer.produce(uidvalidity, reread, arrived).await?;
        for uid in uids {
            self.tries.remove(&uid);
            self.place().note_seen(uid);
        }
        Ok(contacts)
    }

    fn gauge(&mut self, now: Timestamp) {
        let labels = [("source", self.mailbox.source.clone()), ("folder", self.name.clone())];
        ::metrics::gauge!(metrics::GAPS, &labels).set(self.place().gaps.len() as f64);
        ::metrics::gauge!(metrics::LAST_PASS, &labels).set(now.as_millis() as f64 / 1000.0);
    }
}

fn midnight(day: jiff::civil::Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map(|instant| Timestamp::from(instant.timestamp())).unwrap_or(Timestamp::UNKNOWN)
}

/// Runs of mails to fetch together: bounded in number and bytes, large ones and those up to `careful_until` alone.
fn batches(listed: &[Listed], largest: u32, careful_until: u32) -> Vec<&[Listed]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0u64);
    for (index, mail) in listed.iter().enumerate() {
        let size = u64::from(mail.size);
        let alone = mail.uid <= careful_until || mail.size > largest || size > BYTES_AT_ONCE;
        if index > start && (alone || index - start >= FETCHED_AT_ONCE || bytes + size > BYTES_AT_ONCE) {
            batches.push(&listed[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
        if alone {
            batches.push(&listed[start..=index]);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < listed.len() {
        batches.push(&listed[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(uid: u32, size: u32) -> Listed {
        Listed { uid, size, internal_date: None }
    }

    fn lengths(listed: &[Listed], careful_until: u32) -> Vec<usize> {
        batches(listed, 25 << 20, careful_until).into_iter().map(<[Listed]>::len).collect()
    }

    #[test]
    fn large_mails_are_fetched_alone_so_that_memory_stays_bounded() {
        let listed = [mail(1, 1000), mail(2, 20 << 20), mail(3, 1000), mail(4, 3 << 20), mail(5, 3 << 20)];
        assert_eq!(lengths(&listed, 0), [1, 1, 2, 1]);
        let many: Vec<Listed> = (1..=600).map(|uid| mail(uid, 100)).collect();
        assert_eq!(lengths(&many, 0), [250, 250, 100]);
    }

    #[test]
    fn after_a_broken_connection_mails_are_asked_for_one_by_one() {
        let listed: Vec<Listed> = (1..=5).map(|uid| mail(uid, 100)).collect();
        assert_eq!(lengths(&listed, 3), [1, 1, 1, 2]);
        assert!(lengths(&[], 3).is_empty());
    }
}

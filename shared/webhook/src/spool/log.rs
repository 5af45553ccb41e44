//! The spool's core: segments, appended durably, read in order, removed when acknowledged. Synchronous, one owner.

use super::{
    cursor::{Cursor, Position},
    record::{self, Found, HEADER_BYTES},
    storage::{Storage, StorageFile},
};
use std::{collections::BTreeMap, io};

/// How large it may grow.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A segment is closed when the next record would make it larger.
    pub segment_bytes: u64,
    /// All segments together.
    pub max_bytes: u64,
}

/// A record was not made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Its size cap is reached, or the disk is full.
    #[error("the spool is full")]
    Full,
    /// The disk fails.
    #[error("writing to the spool: {0}")]
    Disk(String),
    /// The spool's thread is gone.
    #[error("the spool is closed")]
    Closed,
}

/// A stretch that was written once and cannot be read now. Its bytes are kept in a file beside the segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub at: Position,
    /// How long it is.
    pub bytes: u64,
    /// The file that holds it.
    pub kept_in: String,
}

struct Segment<F> {
    file: F,
    /// Sound and durable up to here; nothing behind it is read.
    length: u64,
}

/// Segments and cursor.
pub struct Log<S: Storage> {
    storage: S,
    settings: LogSettings,
    cursor: Cursor<S::File>,
    segments: BTreeMap<u64, Segment<S::File>>,
    /// The segment that takes appends. None after opening and after a failed write: what may be broken is never extended.
    writing: Option<u64>,
    next_segment: u64,
    damage: Vec<Damage>,
}

/// A record and the place behind it.
pub type Entry = (Position, Vec<u8>);

fn segment_name(number: u64) -> String {
    format!("segment-{number:020}.log")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix("segment-")?.strip_suffix(".log")?.parse().ok()
}

impl<S: Storage> Log<S> {
    /// Opens what is there: forgets segments that are acknowledged, cuts torn tails, finds damage.
    pub fn open(storage: S, settings: LogSettings) -> io::Result<Self> {
        let cursor = Cursor::open(&storage)?;
        let acknowledged = cursor.position();
        let mut numbers: Vec<u64> = storage.names()?.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        let past_cursor = acknowledged.segment + u64::from(acknowledged.offset > 0);
        let next_segment = numbers.last().map_or(1, |last| last + 1).max(past_cursor);
        let mut segments = BTreeMap::new();
        for number in numbers {
            let name = segment_name(number);
            if number < acknowledged.segment {
                storage.remove(&name)?;
                continue;
            }
            let file = storage.open(&name)?;
            let length = file.length()?;
            segments.insert(number, Segment { file, length });
        }
        storage.sync_names()?;
        let mut log = Self { storage, settings, cursor, segments, writing: None, next_segment, damage: Vec::new() };
        log.check_segments()?;
        Ok(log)
    }

    /// Reads every record that is not acknowledged, so that damage is known at start and not when it is too late.
    fn check_segments(&mut self) -> io::Result<()> {
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        for number in numbers {
            let mut offset = self.start_of(number);
            while let Some(next) = self.step(number, offset)?.1 {
                offset = next;
            }
        }
        Ok(())
    }

    fn start_of(&self, segment: u64) -> u64 {
        let cursor = self.cursor.position();
        if segment == cursor.segment { cursor.offset } else { 0 }
    }

    /// The record at a place, if it is sound, and the next place, if there is one. Torn tails are cut, damage is kept aside.
    fn step(&mut self, number: u64, offset: u64) -> io::Result<(Option<Vec<u8>>, Option<u64>)> {
        let Some(segment) = self.segments.get_mut(&number) else { return Ok((None, None)) };
        match record::read(&segment.file, number, offset, segment.length)? {
            Found::Record(payload) => {
                let next = offset + (HEADER_BYTES + payload.len()) as u64;
                Ok((Some(payload), Some(next)))
            }
            Found::End => Ok((None, None)),
            Found::Torn => {
                tracing::warn!(
                    segment = number,
                    offset,
                    bytes = segment.length - offset,
                    "spool.torn_tail: cut; it was never acknowledged"
                );
                segment.file.truncate(offset)?;
                segment.file.sync()?;
                segment.length = offset;
                Ok((None, None))
            }
            Found::Damaged { resume } => {
                self.set_damage_aside(number, offset, resume)?;
                Ok((None, Some(resume)))
            }
        }
    }

    fn set_damage_aside(&mut self, number: u64, offset: u64, resume: u64) -> io::Result<()> {
        let at = Position { segment: number, offset };
        if self.damage.iter().any(|known| known.at == at) {
            return Ok(());
        }
        let Some(segment) = self.segments.get(&number) else { return Ok(()) };
        let bytes = segment.file.read_at(offset, (resume - offset) as usize)?;
        let kept_in = format!("damaged-{number:020}-{offset:012}.bin");
        self.keep(&kept_in, &bytes)?;
        tracing::error!(
            segment = number,
            offset,
            bytes = bytes.len(),
            file = kept_in,
            "spool.damaged: a stretch cannot be read and was set aside; check the disk"
        );
        self.damage.push(Damage { at, bytes: resume - offset, kept_in });
        Ok(())
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.storage.create(name)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.storage.sync_names()
    }

    /// Keeps a record that can never be delivered, under a name that tells where it stood.
    pub fn set_aside(&mut self, behind: Position, payload: &[u8]) -> io::Result<String> {
        let name = format!("undeliverable-{:020}-{:012}.bin", behind.segment, behind.offset);
        self.keep(&name, payload)?;
        Ok(name)
    }

    /// Damage found so far.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Where reading begins.
    pub fn acknowledged(&self) -> Position {
        self.cursor.position()
    }

    /// Bytes in segments.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.length).sum()
    }

    /// Appends records with one write and one fdatasync for each segment touched. `Ok` means durable.
    pub fn append(&mut self, payloads: &[Vec<u8>]) -> Vec<Result<(), AppendError>> {
        let mut outcomes = Vec::with_capacity(payloads.len());
        while outcomes.len() < payloads.len() {
            let rest = &payloads[outcomes.len()..];
            match self.append_to_one_segment(rest) {
                Ok(0) => outcomes.push(Err(AppendError::Full)),
                Ok(written) => outcomes.extend(std::iter::repeat_n(Ok(()), written)),
                Err(error) => outcomes.extend(rest.iter().map(|_| Err(error.clone()))),
            }
        }
        outcomes
    }

    /// Appends as many as fit into the segment being written, at least one; gives their number. None if the first is
    /// beyond the size cap: a smaller one behind it may still find room.
    fn append_to_one_segment(&mut self, payloads: &[Vec<u8>]) -> Result<usize, AppendError> {
        let room = self.settings.max_bytes.saturating_sub(self.bytes());
        let size = |payload: &Vec<u8>| (HEADER_BYTES + payload.len()) as u64;
        let Some(first) = payloads.first() else { return Ok(0) };
        if size(first) > room {
            return Ok(0);
        }
        let number = self.segment_for(size(first)).map_err(disk)?;
        let Some(segment) = self.segments.get_mut(&number) else { return Err(AppendError::Closed) };
        let mut buffer = Vec::new();
        let mut written = 0;
        for payload in payloads {
            let after = buffer.len() as u64 + size(payload);
            let fits = segment.length + after <= self.settings.segment_bytes && after <= room;
            if written > 0 && !fits {
                break;
            }
            let offset = segment.length + buffer.len() as u64;
            record::write(&mut buffer, number, offset, payload);
            written += 1;
        }
        match segment.file.write_at(segment.length, &buffer).and_then(|()| segment.file.sync()) {
            Ok(()) => {
                segment.length += buffer.len() as u64;
                Ok(written)
            }
            Err(error) => {
                // What may have come to disk was answered with 503 and comes again. If it cannot even be cut off, nobody
                // knows what is there, and nothing more is written to this segment.
                if segment.file.truncate(segment.length).and_then(|()| segment.file.sync()).is_err() {
                    self.writing = None;
                }
                Err(disk(error))
            }
        }
    }

    /// The segment being written if the record fits, else a new one.
    fn segment_for(&mut self, bytes: u64) -> io::Result<u64> {
        if let Some(number) = self.writing
            && let Some(segment) = self.segments.get(&number)
            && (segment.length == 0 || segment.length + bytes <= self.settings.segment_bytes)
        {
            return Ok(number);
        }
        let number = self.next_segment;
        let file = self.storage.create(&segment_name(number))?;
        self.storage.sync_names()?;
        self.next_segment += 1;
        self.segments.insert(number, Segment { file, length: 0 });
        self.writing = Some(number);
        Ok(number)
    }

    /// Records from a place on, in order, up to so many and so many bytes (but at least one).
    pub fn read(&mut self, from: Position, max_records: usize, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let numbers: Vec<u64> = self.segments.range(from.segment..).map(|(number, _)| *number).collect();
        for number in numbers {
            let mut offset = if number == from.segment { from.offset } else { 0 };
            loop {
                if entries.len() >= max_records || bytes >= max_bytes {
                    return Ok(entries);
                }
                let (payload, next) = self.step(number, offset)?;
                let Some(next) = next else { break };
                offset = next;
                if let Some(payload) = payload {
                    bytes += payload.len();
                    entries.push((Position { segment: number, offset }, payload));
                }
            }
        }
        Ok(entries)
    }

    /// Everything before `position` is delivered. The cursor is durable before any segment is removed.
    pub fn acknowledge(&mut self, position: Position) -> io::Result<()> {
        let position = position.max(self.cursor.position());
        // First of all: should anything below fail halfway, nothing may be appended behind the cursor's back.
        if self.writing.is_some_and(|writing| writing < position.segment) {
            self.writing = None;
        }
        if position != self.cursor.position() {
            self.cursor.set(position)?;
        }
        let done: Vec<u64> = self.segments.range(..position.segment).map(|(number, _)| *number).collect();
        if done.is_empty() {
            return Ok(());
        }
        for number in done {
            self.storage.remove(&segment_name(number))?;
            self.segments.remove(&number);
        }
        self.storage.sync_names()
    }

    /// Gives up all segments, when reading from the cursor found nothing more: their room is free again.
    pub fn retire(&mut self) -> io::Result<()> {
        match self.segments.last_key_value() {
            Some((last, _)) => self.acknowledge(Position { segment: last + 1, offset: 0 }),
            None => Ok(()),
        }
    }
}

fn disk(error: io::Error) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::Full,
        _ => AppendError::Disk(error.to_string()),
    }
}

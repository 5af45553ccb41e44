//! The spool: where webhooks wait when Kafka does not take them. Durable before it says so.
//!
//! Append-only segments of records ([`record`]), fdatasync'd in groups: however many webhooks wait, they share one.
//! Read in order; a segment goes when all of it is delivered and the cursor that says so is on disk. A torn tail is cut
//! when the spool is opened. Bytes that were written and are wrong now are set aside and reported, never passed over in
//! silence. See `model` in the tests for what is proven of it.

mod cursor;
mod log;
#[cfg(test)]
mod model;
mod record;
mod storage;

pub use cursor::Position;
pub use log::{AppendError, Damage, Entry, Log, LogSettings};
pub use storage::{Directory, Storage, StorageFile};

use crate::metrics;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::sync::{mpsc, oneshot};

/// Size of a segment, unless the whole spool is small.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Webhooks that may wait for the spool's thread; more wait before it.
const QUEUE: usize = 4096;
/// Bytes in one group commit; what comes later waits for the next.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// The spool cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the spool in {}: {source}. May this user write there, and is the disk sound?", path.display())]
pub struct SpoolError {
    path: PathBuf,
    source: io::Error,
}

enum Command {
    Append(Vec<u8>, oneshot::Sender<Result<(), AppendError>>),
    Read { max_records: usize, max_bytes: usize, reply: oneshot::Sender<io::Result<Vec<Entry>>> },
    Acknowledge(Position, oneshot::Sender<io::Result<()>>),
    SetAside(Position, Vec<u8>, oneshot::Sender<io::Result<String>>),
}

/// A handle to the spool's thread. The spool closes when the last one is dropped.
#[derive(Clone)]
pub struct Spool {
    commands: mpsc::Sender<Command>,
}

impl Spool {
    /// Opens the spool in a directory, and starts its thread.
    pub fn open(path: &Path, max_bytes: u64) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError { path: path.to_owned(), source };
        let settings = LogSettings { segment_bytes: SEGMENT_BYTES.min(max_bytes / 4).max(1), max_bytes };
        let log = Directory::open(path).and_then(|directory| Log::open(directory, settings)).map_err(failed)?;
        let found = log.bytes();
        if found > 0 {
            tracing::info!(bytes = found, "spool.found: webhooks from before wait to be delivered");
        }
        ::metrics::counter!(metrics::SPOOL_DAMAGED).absolute(log.damage().len() as u64);
        ::metrics::gauge!(metrics::SPOOL_BYTES).set(found as f64);
        let (commands, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("spool".into()).spawn(move || work(log, queue)).map_err(failed)?;
        Ok(Self { commands })
    }

    /// Durable when it returns `Ok`.
    pub async fn append(&self, payload: Vec<u8>) -> Result<(), AppendError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Append(payload, reply)).await.map_err(|_| AppendError::Closed)?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The oldest records that are not acknowledged. When there are none, the room of all before is given back.
    pub async fn read(&self, max_records: usize, max_bytes: usize) -> io::Result<Vec<Entry>> {
        self.ask(|reply| Command::Read { max_records, max_bytes, reply }).await
    }

    /// Everything before `position` is delivered.
    pub async fn acknowledge(&self, position: Position) -> io::Result<()> {
        self.ask(|reply| Command::Acknowledge(position, reply)).await
    }

    /// Keeps a record that can never be delivered; gives the file's name.
    pub async fn set_aside(&self, behind: Position, payload: Vec<u8>) -> io::Result<String> {
        self.ask(|reply| Command::SetAside(behind, payload, reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Command) -> io::Result<T> {
        let closed = || io::Error::new(io::ErrorKind::BrokenPipe, "the spool is closed");
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// The spool's thread: everything that waits to be appended shares one fdatasync.
fn work(mut log: Log<Directory>, mut queue: mpsc::Receiver<Command>) {
    let mut next = queue.blocking_recv();
    while let Some(command) = next.take() {
        match command {
            Command::Append(payload, reply) => {
                let mut bytes = payload.len();
                let (mut payloads, mut replies) = (vec![payload], vec![reply]);
                while bytes < GROUP_BYTES {
                    match queue.try_recv() {
                        Ok(Command::Append(payload, reply)) => {
                            bytes += payload.len();
                            payloads.push(payload);
                            replies.push(reply);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                commit(&mut log, &payloads, replies);
            }
            // Whoever asked may be gone; the work is done all the same.
            Command::Read { max_records, max_bytes, reply } => drop(reply.send(read(&mut log, max_records, max_bytes))),
            Command::Acknowledge(position, reply) => drop(reply.send(log.acknowledge(position))),
            Command::SetAside(behind, payload, reply) => drop(reply.send(log.set_aside(behind, &payload))),
        }
        ::metrics::gauge!(metrics::SPOOL_BYTES).set(log.bytes() as f64);
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
}

fn commit(log: &mut Log<Directory>, payloads: &[Vec<u8>], replies: Vec<oneshot::Sender<Result<(), AppendError>>>) {
    let mut told = false;
    for (outcome, reply) in log.append(payloads).into_iter().zip(replies) {
        if let Err(error) = &outcome {
            ::metrics::counter!(metrics::SPOOL_REFUSED).increment(1);
            if !std::mem::replace(&mut told, true) {
                tracing::error!(%error, bytes = log.bytes(), "spool.append: senders get 503 until Kafka takes what waits, or there is room");
            }
        }
        let _ = reply.send(outcome);
    }
}

fn read(log: &mut Log<Directory>, max_records: usize, max_bytes: usize) -> io::Result<Vec<Entry>> {
    let known = log.damage().len();
    let entries = log.read(log.acknowledged(), max_records, max_bytes)?;
    ::metrics::counter!(metrics::SPOOL_DAMAGED).increment((log.damage().len() - known) as u64);
    if entries.is_empty() {
        log.retire()?;
    }
    Ok(entries)
}

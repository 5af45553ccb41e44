//! The spool against a model: a simulated disk that forgets what was not synced, fails, fills up, and flips bits.

use super::{
    cursor::Position,
    log::{AppendError, Log, LogSettings},
    storage::{Storage, StorageFile},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

/// A file's bytes as a process sees them, and what a crash is sure to keep.
#[derive(Clone, Default)]
struct Bytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Default)]
struct State {
    files: Vec<Bytes>,
    /// Names as a process sees them, and as a crash is sure to keep them.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Operations until the next one fails; what kind of failure.
    fail_in: Option<(u32, Failure)>,
    crashed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    /// This operation and all after it fail: the machine is gone.
    Crash,
    /// This operation fails, perhaps halfway; the next ones work.
    Io,
    /// As above, for want of room.
    NoSpace,
}

#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

struct Handle {
    disk: Disk,
    file: usize,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation that changes something; `Err` if it is the one that fails.
    fn tick(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.crashed {
            return Err(io::Error::other("crashed"));
        }
        let Some((left, failure)) = &mut state.fail_in else { return Ok(()) };
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        let failure = *failure;
        state.fail_in = None;
        state.crashed = failure == Failure::Crash;
        match failure {
            Failure::NoSpace => Err(io::ErrorKind::StorageFull.into()),
            _ => Err(io::Error::other("failed")),
        }
    }

    /// After a crash: unsynced names come or go, unsynced bytes survive in part, as zeros, or not at all.
    fn restart(&self, seed: u64) {
        let mut state = self.state();
        let mut coin = seed;
        let mut draw = |below: usize| {
            coin = coin.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (coin >> 33) as usize % below.max(1)
        };
        let mut names = state.durable_names.clone();
        for (name, file) in &state.names {
            if !names.contains_key(name) && draw(2) == 0 {
                names.insert(name.clone(), *file);
            }
        }
        for name in state.durable_names.keys() {
            if !state.names.contains_key(name) && draw(2) == 0 {
                names.remove(name);
            }
        }
        for file in &mut state.files {
            if file.seen == file.durable {
                continue;
            }
            let kept = match draw(4) {
                0 => file.durable.clone(),
                1 => file.seen.clone(),
                // A part of what is new came to disk.
                2 => {
                    let shared = file.durable.len().min(file.seen.len());
                    let mut kept = file.seen.clone();
                    kept.truncate(shared + draw(file.seen.len() - shared + 1));
                    kept
                }
                // The file grew, its new bytes did not come.
                _ => {
                    let mut kept = file.durable.clone();
                    kept.resize(file.seen.len().max(file.durable.len()), 0);
                    kept
                }
            };
            *file = Bytes { seen: kept.clone(), durable: kept };
        }
        state.names = names.clone();
        state.durable_names = names;
        state.crashed = false;
        state.fail_in = None;
    }
}

impl Storage for Disk {
    type File = Handle;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Handle> {
        self.tick()?;
        let mut state = self.state();
        state.files.push(Bytes::default());
        let file = state.files.len() - 1;
        state.names.insert(name.to_owned(), file);
        Ok(Handle { disk: self.clone(), file })
    }

    fn open(&self, name: &str) -> io::Result<Handle> {
        let file = *self.state().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Handle { disk: self.clone(), file })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.tick()?;
        self.state().names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.tick()?;
        let mut state = self.state();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl StorageFile for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].seen.len() as u64)
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.state();
        let bytes = &state.files[self.file].seen;
        let begin = (offset as usize).min(bytes.len());
        Ok(bytes[begin..(begin + length).min(bytes.len())].to_vec())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.disk.tick();
        let mut state = self.disk.state();
        let file = &mut state.files[self.file].seen;
        // A failed write may have written half.
        let bytes = if outcome.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let (begin, end) = (offset as usize, offset as usize + bytes.len());
        file.resize(file.len().max(end), 0);
        file[begin..end].copy_from_slice(bytes);
        outcome
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.tick()?;
        self.disk.state().files[self.file].seen.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.tick()?;
        let mut state = self.disk.state();
        let file = &mut state.files[self.file];
        file.durable = file.seen.clone();
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Append a group of records of these sizes.
    Append(Vec<usize>),
    /// Deliver and acknowledge up to so many.
    Drain(usize),
    /// Something fails after so many operations from now.
    Fail(u32, Failure),
    /// The process ends, and starts again.
    Restart(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let failure = prop_oneof![Just(Failure::Crash), Just(Failure::Io), Just(Failure::NoSpace)];
    let step = prop_oneof![
        4 => prop::collection::vec(0..60usize, 1..5).prop_map(Step::Append),
        2 => (1..6usize).prop_map(Step::Drain),
        2 => (0..8u32, failure).prop_map(|(after, failure)| Step::Fail(after, failure)),
        1 => any::<u64>().prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

const SETTINGS: LogSettings = LogSettings { segment_bytes: 160, max_bytes: 1200 };

/// A record that tells which one it is, and whose bytes are all its own.
fn payload(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((0..size).map(|place| (number as usize * 31 + place * 7) as u8));
    bytes
}

fn number(payload: &[u8]) -> u32 {
    u32::from_le_bytes(*payload.first_chunk().expect("our records have a number"))
}

struct Run {
    disk: Disk,
    log: Option<Log<Disk>>,
    appended: u32,
    /// Accepted and not yet known to be acknowledged, in order.
    owed: VecDeque<u32>,
    sizes: BTreeMap<u32, usize>,
}

impl Run {
    fn new() -> Self {
        let disk = Disk::default();
        let log = Some(Log::open(disk.clone(), SETTINGS).unwrap());
        Self { disk, log, appended: 0, owed: VecDeque::new(), sizes: BTreeMap::new() }
    }

    fn restart(&mut self, seed: u64) {
        self.log = None;
        self.disk.restart(seed);
        self.log = Some(Log::open(self.disk.clone(), SETTINGS).expect("opens after any crash"));
    }

    fn append(&mut self, sizes: &[usize]) {
        let Some(log) = &mut self.log else { return };
        let first = self.appended;
        let payloads: Vec<_> =
            sizes.iter().enumerate().map(|(place, size)| payload(first + place as u32, *size)).collect();
        for (place, outcome) in log.append(&payloads).into_iter().enumerate() {
            let number = first + place as u32;
            self.sizes.insert(number, sizes[place]);
            if outcome.is_ok() {
                self.owed.push_back(number);
            }
        }
        self.appended += sizes.len() as u32;
        assert!(log.bytes() <= SETTINGS.max_bytes, "the size cap holds");
    }

    fn drain(&mut self, records: usize) {
        let Some(log) = &mut self.log else { return };
        let Ok(entries) = log.read(log.acknowledged(), records, 10_000) else { return };
        if entries.is_empty() {
            assert!(self.owed.is_empty(), "accepted records are gone: {:?}", self.owed);
            let _ = log.retire();
            return;
        }
        for (_, bytes) in &entries {
            let number = number(bytes);
            assert_eq!(*bytes, payload(number, self.sizes[&number]), "a record is what it was");
        }
        let delivered: Vec<u32> = entries.iter().map(|(_, bytes)| number(bytes)).collect();
        assert!(delivered.is_sorted(), "in order: {delivered:?}");
        let last = entries.last().unwrap();
        // Delivered is delivered, whether or not the cursor could be moved.
        let reach = number(&last.1);
        let skipped: Vec<u32> =
            self.owed.iter().copied().filter(|owed| *owed <= reach && !delivered.contains(owed)).collect();
        assert!(skipped.is_empty(), "passed over: {skipped:?}");
        self.owed.retain(|owed| *owed > reach);
        let _ = log.acknowledge(last.0);
    }
}

/// 2,000, or what `PROPTEST_CASES` asks for.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// F13: whatever fails and whenever the machine stops, every accepted record is delivered, in order, unchanged.
    #[test]
    fn an_accepted_record_is_delivered_whatever_happens(steps in steps(), seed in any::<u64>()) {
        let mut run = Run::new();
        for step in steps {
            match step {
                Step::Append(sizes) => run.append(&sizes),
                Step::Drain(records) => run.drain(records),
                Step::Fail(after, failure) => run.disk.state().fail_in = Some((after, failure)),
                Step::Restart(seed) => run.restart(seed),
            }
            if run.disk.state().crashed {
                run.restart(seed);
            }
        }
        run.restart(seed);
        while !run.owed.is_empty() {
            run.drain(3);
        }
        // The end gives the room back.
        let log = run.log.as_mut().unwrap();
        loop {
            let entries = log.read(log.acknowledged(), 100, 10_000).unwrap();
            match entries.last() {
                Some((position, _)) => log.acknowledge(*position).unwrap(),
                None => break,
            }
        }
        log.retire().unwrap();
        prop_assert_eq!(log.bytes(), 0);
    }

    /// F13: one flipped bit costs at most the record it is in, and that one is reported and kept.
    #[test]
    fn a_flipped_bit_is_reported_and_costs_one_record(
        sizes in prop::collection::vec(0..60usize, 1..14), place in any::<prop::sample::Index>(), bit in 0..8u8, acknowledged in 0..6usize,
    ) {
        let mut run = Run::new();
        run.append(&sizes);
        run.drain(acknowledged.max(1));
        let owed = run.owed.clone();
        run.log = None;
        {
            let mut state = run.disk.state();
            let files: Vec<usize> =
                state.names.iter().filter(|(name, _)| name.starts_with("segment-")).map(|(_, file)| *file).collect();
            let total: usize = files.iter().map(|file| state.files[*file].seen.len()).sum();
            prop_assume!(total > 0);
            let mut place = place.index(total);
            for file in files {
                let bytes = &mut state.files[file];
                if place < bytes.seen.len() {
                    bytes.seen[place] ^= 1 << bit;
                    bytes.durable = bytes.seen.clone();
                    break;
                }
                place -= bytes.seen.len();
            }
        }
        let mut log = Log::open(run.disk.clone(), SETTINGS).unwrap();
        let entries = log.read(log.acknowledged(), 1000, 100_000).unwrap();
        let read: Vec<u32> = entries.iter().map(|(_, bytes)| number(bytes)).collect();
        let lost: Vec<u32> = owed.iter().copied().filter(|number| !read.contains(number)).collect();
        prop_assert!(lost.len() <= 1, "lost {:?}", lost);
        prop_assert_eq!(log.damage().len(), lost.len(), "what is lost is reported, and nothing else is");
        for damage in log.damage() {
            let kept = run.disk.open(&damage.kept_in).unwrap();
            prop_assert_eq!(kept.length().unwrap(), damage.bytes, "its bytes are kept");
        }
    }
}

#[test]
fn a_full_spool_refuses_and_takes_again_once_it_is_drained() {
    let mut run = Run::new();
    for _ in 0..40 {
        run.append(&[50]);
    }
    let log = run.log.as_mut().unwrap();
    assert_eq!(log.append(&[vec![0; 400]]), [Err(AppendError::Full)]);
    while !run.owed.is_empty() {
        run.drain(5);
    }
    run.drain(1);
    let log = run.log.as_mut().unwrap();
    assert_eq!(log.bytes(), 0);
    assert_eq!(log.append(&[vec![0; 400]]), [Ok(())]);
}

#[test]
fn the_cursor_is_on_disk_before_a_segment_goes() {
    let mut run = Run::new();
    run.append(&[50, 50, 50, 50]);
    let log = run.log.as_mut().unwrap();
    let entries = log.read(Position::default(), 3, 10_000).unwrap();
    // The cursor's write succeeds, its sync does not: the segment must still be there.
    run.disk.state().fail_in = Some((1, Failure::Crash));
    assert!(log.acknowledge(entries[2].0).is_err());
    let segments = run.disk.state().names.keys().filter(|name| name.starts_with("segment-")).count();
    assert_eq!(segments, 2);
}

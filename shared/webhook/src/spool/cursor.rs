//! How far the spool's records are acknowledged. Two slots, written in turn, so that one is always whole.

use super::storage::{Storage, StorageFile};
use std::io;

/// A place in the spool: a segment's number and an offset in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment.
    pub segment: u64,
    /// The offset.
    pub offset: u64,
}

/// Slots lie in different blocks of the disk, so that a write of one cannot tear the other.
const SLOT_DISTANCE: u64 = 4096;
const NAME: &str = "cursor";

/// The cursor's file.
pub struct Cursor<F> {
    file: F,
    generation: u64,
    position: Position,
}

impl<F: StorageFile> Cursor<F> {
    /// Opens or makes it. An unreadable one stands at the beginning: everything is delivered again, which is harmless.
    pub fn open<S: Storage<File = F>>(storage: &S) -> io::Result<Self> {
        if !storage.names()?.iter().any(|name| name == NAME) {
            let file = storage.create(NAME)?;
            // Room for both slots, so that moving the cursor needs none on a full disk.
            file.write_at(0, &vec![0; 2 * SLOT_DISTANCE as usize])?;
            file.sync()?;
            storage.sync_names()?;
        }
        let file = storage.open(NAME)?;
        let mut newest = (0, Position::default());
        for slot in 0..2 {
            if let Some((generation, position)) = read(&file, slot)?
                && generation >= newest.0
            {
                newest = (generation, position);
            }
        }
        Ok(Self { file, generation: newest.0, position: newest.1 })
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Moves it, durably.
    pub fn set(&mut self, position: Position) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut slot = [0; 28];
        slot[..8].copy_from_slice(&generation.to_le_bytes());
        slot[8..16].copy_from_slice(&position.segment.to_le_bytes());
        slot[16..24].copy_from_slice(&position.offset.to_le_bytes());
        let crc = crc32c::crc32c(&slot[..24]);
        slot[24..].copy_from_slice(&crc.to_le_bytes());
        self.file.write_at(generation % 2 * SLOT_DISTANCE, &slot)?;
        self.file.sync()?;
        self.generation = generation;
        self.position = position;
        Ok(())
    }
}

fn read(file: &impl StorageFile, slot: u64) -> io::Result<Option<(u64, Position)>> {
    let bytes = file.read_at(slot * SLOT_DISTANCE, 28)?;
    let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..at + 8)?.first_chunk()?));
    let stated = bytes.get(24..28).and_then(|crc| crc.first_chunk()).map(|crc| u32::from_le_bytes(*crc));
    let (Some(generation), Some(segment), Some(offset), Some(stated)) = (word(0), word(8), word(16), stated) else {
        return Ok(None);
    };
    let sound = generation > 0 && crc32c::crc32c(&bytes[..24]) == stated;
    Ok(sound.then_some((generation, Position { segment, offset })))
}

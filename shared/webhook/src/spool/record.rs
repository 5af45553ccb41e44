//! One record in a segment: `length | check | crc32c | payload`, integers little-endian.
//!
//! `check` is the CRC32C of the segment's number, the record's offset and its length. It tells a length that was
//! damaged from a record that was cut off, and it makes a record recognisable at its own place and nowhere else, so that reading
//! can begin again after a damaged stretch.

use super::storage::StorageFile;
use std::io;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 12;
/// Bytes read at a time while looking for the next sound record.
const SCAN_BYTES: usize = 1024 * 1024;

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A sound record.
    Record(Vec<u8>),
    /// Nothing: the end.
    End,
    /// The beginning of a record, or room for one, that was never written to its end; so it was never acknowledged.
    Torn,
    /// Bytes that were written and are wrong now. The next sound record, if any, begins at `resume`.
    Damaged {
        /// Where reading can go on; the segment's end if there is no sound record behind.
        resume: u64,
    },
}

fn check(segment: u64, offset: u64, length: u32) -> u32 {
    let mut place = [0; 20];
    place[..8].copy_from_slice(&segment.to_le_bytes());
    place[8..16].copy_from_slice(&offset.to_le_bytes());
    place[16..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c(&place)
}

/// Appends a record that will stand at `offset` of the segment.
pub fn write(buffer: &mut Vec<u8>, segment: u64, offset: u64, payload: &[u8]) {
    // A payload is at most a few megabytes; `Log::append` refuses more.
    let length = payload.len() as u32;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&check(segment, offset, length).to_le_bytes());
    buffer.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// The length and payload CRC that a header states, if it is the header of a record at this very place.
fn header(bytes: &[u8], segment: u64, offset: u64) -> Option<(u32, u32)> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..at + 4)?.first_chunk()?));
    let (length, stated, crc) = (word(0)?, word(4)?, word(8)?);
    (stated == check(segment, offset, length)).then_some((length, crc))
}

/// Looks at the record at `offset` of a segment that is `end` bytes long.
pub fn read(file: &impl StorageFile, segment: u64, offset: u64, end: u64) -> io::Result<Found> {
    if offset >= end {
        return Ok(Found::End);
    }
    let head = file.read_at(offset, HEADER_BYTES.min((end - offset) as usize))?;
    if head.len() < HEADER_BYTES {
        return Ok(Found::Torn);
    }
    if let Some((length, crc)) = header(&head, segment, offset) {
        let begin = offset + HEADER_BYTES as u64;
        if begin + u64::from(length) > end {
            return Ok(Found::Torn);
        }
        let payload = file.read_at(begin, length as usize)?;
        if payload.len() == length as usize && crc32c::crc32c(&payload) == crc {
            return Ok(Found::Record(payload));
        }
    } else if is_zero(file, offset, end)? {
        // After a power cut a file may have grown without its bytes having come to disk.
        return Ok(Found::Torn);
    }
    Ok(Found::Damaged { resume: next_sound(file, segment, offset + 1, end)? })
}

fn is_zero(file: &impl StorageFile, mut offset: u64, end: u64) -> io::Result<bool> {
    while offset < end {
        let bytes = file.read_at(offset, SCAN_BYTES.min((end - offset) as usize))?;
        if bytes.is_empty() || bytes.iter().any(|byte| *byte != 0) {
            return Ok(bytes.is_empty());
        }
        offset += bytes.len() as u64;
    }
    Ok(true)
}

/// Where the first sound record at or after `offset` begins; `end` if there is none.
fn next_sound(file: &impl StorageFile, segment: u64, mut offset: u64, end: u64) -> io::Result<u64> {
    while offset < end {
        let bytes = file.read_at(offset, SCAN_BYTES.min((end - offset) as usize))?;
        for place in 0..bytes.len().saturating_sub(HEADER_BYTES - 1) {
            let begin = offset + place as u64;
            let Some((length, crc)) = header(&bytes[place..], segment, begin) else { continue };
            let payload = file.read_at(begin + HEADER_BYTES as u64, length as usize)?;
            if payload.len() == length as usize && crc32c::crc32c(&payload) == crc {
                return Ok(begin);
            }
        }
        if bytes.len() < SCAN_BYTES {
            break;
        }
        offset += (bytes.len() - HEADER_BYTES + 1) as u64;
    }
    Ok(end)
}

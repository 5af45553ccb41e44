//! A log file followed as `tail -F` does it, by inode and offset, through rotation and restarts; complete lines only.
//!
//! What it hands out may be handed out again after a crash, never less. The last line of a file that was rotated away may lack its
//! end: it is handed out once nothing more can come.

use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Bytes read at once. A line is far shorter.
const CHUNK_BYTES: usize = 256 * 1024;

/// Where reading goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's inode: its name changes when it is rotated.
    pub inode: u64,
    /// Everything before is done.
    pub offset: u64,
}

/// Some lines, and the place behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Whole lines.
    pub bytes: Vec<u8>,
    /// To be remembered once they are delivered.
    pub behind: Place,
}

/// The file being followed.
pub struct Tail {
    path: PathBuf,
    open: Option<(File, Place)>,
    /// Something could not be read any more, in words.
    gap: Option<String>,
}

impl Tail {
    /// Follows `path` from a place; the file of that place may have another name by now.
    pub fn resume(path: &Path, from: Option<Place>) -> io::Result<Self> {
        let mut tail = Self { path: path.to_owned(), open: None, gap: None };
        let Some(place) = from else { return Ok(tail) };
        tail.open = find(path, place.inode)?.map(|file| (file, place));
        if tail.open.is_none() {
            tail.gap = Some("the file that was being read is gone; its last lines may be missing".into());
        }
        Ok(tail)
    }

    /// A gap found since this was last asked.
    pub fn take_gap(&mut self) -> Option<String> {
        self.gap.take()
    }

    /// The first line of the file being read, if it is whole: perhaps a header.
    pub fn first_line(&self) -> io::Result<Option<Vec<u8>>> {
        let Some((file, _)) = &self.open else { return Ok(None) };
        let bytes = read_at(file, 0)?;
        Ok(bytes.iter().position(|byte| *byte == b'\n').map(|end| bytes[..=end].to_vec()))
    }

    /// The next lines. None when there is nothing new.
    pub fn next(&mut self) -> io::Result<Option<Lines>> {
        loop {
            if self.open.is_none() {
                match File::open(&self.path) {
                    Ok(file) => {
                        let inode = file.metadata()?.ino();
                        self.open = Some((file, Place { inode, offset: 0 }));
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            let Some((file, place)) = &mut self.open else { return Ok(None) };
            // Asked before reading: what is written to a file after it was replaced is not awaited.
            let rotated = fs::metadata(&self.path).map_or(true, |now| now.ino() != place.inode);
            if file.metadata()?.len() < place.offset {
                self.gap = Some("the file was cut off; what was written between two looks may be missing".into());
                place.offset = 0;
            }
            let bytes = read_at(file, place.offset)?;
            let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => end + 1,
                None if bytes.len() == CHUNK_BYTES || (rotated && !bytes.is_empty()) => bytes.len(),
                None => 0,
            };
            if whole > 0 {
                place.offset += whole as u64;
                let behind = *place;
                return Ok(Some(Lines { bytes: bytes[..whole].to_vec(), behind }));
            }
            if !rotated || !self.path.exists() {
                return Ok(None);
            }
            self.open = None;
        }
    }
}

fn read_at(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The file of that inode: at its place, or renamed beside it.
fn find(path: &Path, inode: u64) -> io::Result<Option<File>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        return Ok(None);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.ino() == inode) {
            return File::open(entry.path()).map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn all(tail: &mut Tail) -> (String, Option<Place>) {
        let (mut text, mut place) = (String::new(), None);
        while let Some(lines) = tail.next().unwrap() {
            text += std::str::from_utf8(&lines.bytes).unwrap();
            place = Some(lines.behind);
        }
        (text, place)
    }

    #[test]
    fn whole_lines_through_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Master.csv");
        let mut tail = Tail::resume(&path, None).unwrap();
        assert_eq!(all(&mut tail).0, "", "a file that is not there yet is no error");
        append(&path, "a\nb\nc");
        assert_eq!(all(&mut tail).0, "a\nb\n", "half a line waits");
        append(&path, "c\nd");
        fs::rename(&path, folder.path().join("Master.csv.1")).unwrap();
        append(&folder.path().join("Master.csv.1"), "d");
        append(&path, "e\n");
        assert_eq!(all(&mut tail).0, "cc\ndde\n", "the last line of the old file comes without its end");
        assert_eq!(tail.take_gap(), None);
    }

    #[test]
    fn a_restart_goes_on_where_it_was_even_if_the_file_was_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Master.csv");
        append(&path, "a\nb\n");
        let (_, place) = all(&mut Tail::resume(&path, None).unwrap());
        append(&path, "c\n");
        fs::rename(&path, folder.path().join("Master.csv.1")).unwrap();
        append(&path, "d\n");
        let mut tail = Tail::resume(&path, place).unwrap();
        assert_eq!(all(&mut tail).0, "c\nd\n");
        assert_eq!(tail.take_gap(), None);
    }

    #[test]
    fn what_cannot_be_read_any_more_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Master.csv");
        append(&path, "a\nb\n");
        let mut tail = Tail::resume(&path, None).unwrap();
        let (_, place) = all(&mut tail);
        fs::write(&path, "").unwrap();
        append(&path, "c\n");
        assert_eq!(all(&mut tail).0, "c\n");
        assert!(tail.take_gap().unwrap().contains("cut off"));
        fs::remove_file(&path).unwrap();
        append(&folder.path().join("keeps the inode from being used again"), "x");
        append(&path, "d\n");
        let mut tail = Tail::resume(&path, Some(Place { inode: u64::MAX, ..place.unwrap() })).unwrap();
        assert_eq!(all(&mut tail).0, "d\n");
        assert!(tail.take_gap().unwrap().contains("gone"));
    }
}

//! ClickHouse's Native format: the same rows, column by column.
//!
//! The server stores columns. A column that arrives as one is taken over with a copy, where RowBinary makes it read cell by
//! cell; and a `LowCardinality` column arrives with its dictionary. For our widest table that is a sixth of the server's CPU
//! time for an INSERT, and two thirds of the memory while rows are collected.
//!
//! Format: <https://clickhouse.com/docs/interfaces/formats/Native>; of `LowCardinality`, `SerializationLowCardinality.cpp`.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// `LowCardinality`: dictionaries travel with each block.
const SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS: u64 = 1;
/// `LowCardinality`: the block brings its own keys, and they replace those of the block before.
const OWN_KEYS: u64 = (1 << 9) | (1 << 10);

/// Rows of one table, column by column.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    kinds: &'static [(&'static str, &'static str)],
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl Columns {
    /// No rows yet, of these names and types. A type that none of our tables has makes every row unfit.
    pub(crate) fn new(kinds: &'static [(&'static str, &'static str)]) -> Self {
        let columns = kinds.iter().map_while(|(_, kind)| Column::of(kind)).collect();
        Self { kinds, columns, rows: 0, bytes: 0 }
    }

    /// Adds one row of RowBinary. `false` if it is not what the types say; the block is then of no use.
    pub(crate) fn push(&mut self, mut row: &[u8]) -> bool {
        for column in &mut self.columns {
            let Some(bytes) = column.take(&mut row) else { return false };
            self.bytes += bytes;
        }
        self.rows += 1;
        row.is_empty()
    }

    /// Bytes of its rows, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows that `keep` says.
    pub(crate) fn filtered(&self, keep: &[bool]) -> Self {
        let mut kept = Self::new(self.kinds);
        for (to, from) in kept.columns.iter_mut().zip(&self.columns) {
            from.copy_to(to, keep);
        }
        kept.rows = keep.iter().filter(|keep| **keep).count();
        kept.bytes = self.bytes / self.rows.max(1) * kept.rows;
        kept
    }

    /// Forgets the rows and keeps the room: fresh megabytes for each batch are paid for page by page.
    pub(crate) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        (self.rows, self.bytes) = (0, 0);
    }

    /// One block of the Native format.
    pub(crate) fn block(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes + self.bytes / 8 + 16 * 1024);
        length(&mut out, self.columns.len());
        length(&mut out, self.rows);
        for ((name, kind), column) in self.kinds.iter().zip(&self.columns) {
            text(&mut out, name.as_bytes());
            text(&mut out, kind.as_bytes());
            column.write_prefix(&mut out);
            column.write(&mut out);
        }
        out
    }
}

/// Cells of one type.
#[derive(Clone, Debug)]
enum Column {
    Fixed { width: usize, cells: Vec<u8> },
    Text(Vec<u8>),
    Word(Words),
    Nullable { nulls: Vec<u8>, width: usize, cells: Vec<u8> },
    Array { ends: Vec<u64>, inner: Box<Column> },
    Tuple(Vec<Column>),
}

/// A dictionary, and which of its words each cell is.
#[derive(Clone, Debug, Default)]
struct Words {
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    words: Vec<u8>,
    cells: Vec<u32>,
    last: Vec<u8>,
}

impl Column {
    /// An empty column of a type that our tables use.
    fn of(kind: &str) -> Option<Self> {
        if let Some(inner) = inside(kind, "Nullable") {
            let Self::Fixed { width, cells } = Self::of(inner)? else { return None };
            return Some(Self::Nullable { nulls: Vec::new(), width, cells });
        }
        if let Some(inner) = inside(kind, "Array") {
            return Some(Self::Array { ends: Vec::new(), inner: Box::new(Self::of(inner)?) });
        }
        if let Some(members) = inside(kind, "Tuple") {
            let kinds = members.split(", ").map(|member| member.split_once(' ').map_or(member, |(_, kind)| kind));
            return kinds.map(Self::of).collect::<Option<_>>().map(Self::Tuple);
        }
        let width = match kind {
            "LowCardinality(String)" => return Some(Self::Word(Words::default())),
            "String" => return Some(Self::Text(Vec::new())),
            "UUID" => 16,
            "UInt64" | "Int64" => 8,
            "UInt32" | "Int32" | "Float32" => 4,
            "UInt16" => 2,
            "UInt8" | "Bool" => 1,
            _ if kind.starts_with("DateTime64(") => 8,
            _ => return None,
        };
        Some(Self::Fixed { width, cells: Vec::new() })
    }

    /// Takes one cell off the front of `from`, and says how many bytes that added.
    fn take(&mut self, from: &mut &[u8]) -> Option<usize> {
        match self {
            Self::Fixed { width, cells } => {
                cells.extend_from_slice(from.split_off(..*width)?);
                Some(*width)
            }
            Self::Text(cells) => {
                let value = take_text(from)?;
                text(cells, value);
                Some(value.len() + 1)
            }
            Self::Word(words) => Some(words.add(take_text(from)?)),
            Self::Nullable { nulls, width, cells } => {
                let null = *from.split_off_first()?;
                nulls.push(null);
                match null {
                    0 => cells.extend_from_slice(from.split_off(..*width)?),
                    _ => cells.resize(cells.len() + *width, 0),
                }
                Some(*width + 1)
            }
            Self::Array { ends, inner } => {
                let count = take_length(from)?;
                let mut bytes = 8;
                for _ in 0..count {
                    bytes += inner.take(from)?;
                }
                ends.push(ends.last().copied().unwrap_or_default() + count as u64);
                Some(bytes)
            }
            Self::Tuple(members) => {
                let mut bytes = 0;
                for member in members {
                    bytes += member.take(from)?;
                }
                Some(bytes)
            }
        }
    }

    /// Copies the cells that `keep` says to an empty column of the same type.
    fn copy_to(&self, to: &mut Self, keep: &[bool]) {
        match (self, to) {
            (Self::Fixed { width, cells }, Self::Fixed { cells: to, .. }) => copy_fixed(cells, *width, to, keep),
            (Self::Text(cells), Self::Text(to)) => {
                let mut rest = cells.as_slice();
                for keep in keep {
                    let Some(value) = take_text(&mut rest) else { break };
                    if *keep {
                        text(to, value);
                    }
                }
            }
            (Self::Word(words), Self::Word(to)) => {
                *to = Words { cells: Vec::new(), ..words.clone() };
                to.cells.extend(kept(&words.cells, keep));
            }
            (Self::Nullable { nulls, width, cells }, Self::Nullable { nulls: to_nulls, cells: to_cells, .. }) => {
                to_nulls.extend(kept(nulls, keep));
                copy_fixed(cells, *width, to_cells, keep);
            }
            (Self::Array { ends, inner }, Self::Array { ends: to_ends, inner: to_inner }) => {
                let mut keep_elements = Vec::with_capacity(ends.last().map_or(0, |end| *end as usize));
                let (mut start, mut total) = (0, 0);
                for (end, keep) in ends.iter().zip(keep) {
                    keep_elements.resize(*end as usize, *keep);
                    if *keep {
                        total += end - start;
                        to_ends.push(total);
                    }
                    start = *end;
                }
                inner.copy_to(to_inner, &keep_elements);
            }
            (Self::Tuple(members), Self::Tuple(to)) => {
                members.iter().zip(to).for_each(|(member, to)| member.copy_to(to, keep));
            }
            // Both were made from the same type.
            _ => debug_assert!(false, "columns of different types"),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Fixed { cells, .. } | Self::Text(cells) => cells.clear(),
            Self::Word(words) => words.clear(),
            Self::Nullable { nulls, cells, .. } => {
                nulls.clear();
                cells.clear();
            }
            Self::Array { ends, inner } => {
                ends.clear();
                inner.clear();
            }
            Self::Tuple(members) => members.iter_mut().for_each(Self::clear),
        }
    }

    /// What stands before all data of a column.
    fn write_prefix(&self, out: &mut Vec<u8>) {
        match self {
            Self::Word(_) => out.extend_from_slice(&SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS.to_le_bytes()),
            Self::Array { inner, .. } => inner.write_prefix(out),
            Self::Tuple(members) => members.iter().for_each(|member| member.write_prefix(out)),
            Self::Fixed { .. } | Self::Text(_) | Self::Nullable { .. } => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { cells, .. } | Self::Text(cells) => out.extend_from_slice(cells),
            Self::Word(words) => words.write(out),
            Self::Nullable { nulls, cells, .. } => {
                out.extend_from_slice(nulls);
                out.extend_from_slice(cells);
            }
            Self::Array { ends, inner } => {
                out.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
                inner.write(out);
            }
            Self::Tuple(members) => members.iter().for_each(|member| member.write(out)),
        }
    }
}

impl Words {
    /// Adds a cell, and says how many bytes that added.
    fn add(&mut self, word: &[u8]) -> usize {
        // Neighbours are often alike.
        if let Some(number) = self.cells.last()
            && self.last == word
        {
            self.cells.push(*number);
            return 4;
        }
        self.last.clear();
        self.last.extend_from_slice(word);
        if let Some(number) = self.numbers.get(word) {
            self.cells.push(*number);
            return 4;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(word.into(), number);
        text(&mut self.words, word);
        self.cells.push(number);
        word.len() + 5
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.words.clear();
        self.cells.clear();
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.cells.is_empty() {
            return;
        }
        let wide: u64 = match self.numbers.len() {
            0..=0x100 => 0,
            0x101..=0x1_0000 => 1,
            _ => 2,
        };
        out.extend_from_slice(&(OWN_KEYS | wide).to_le_bytes());
        out.extend_from_slice(&(self.numbers.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.words);
        out.extend_from_slice(&(self.cells.len() as u64).to_le_bytes());
        match wide {
            0 => out.extend(self.cells.iter().map(|number| *number as u8)),
            1 => out.extend(self.cells.iter().flat_map(|number| (*number as u16).to_le_bytes())),
            _ => out.extend(self.cells.iter().flat_map(|number| number.to_le_bytes())),
        }
    }
}

fn kept<'a, T: Copy>(cells: &'a [T], keep: &'a [bool]) -> impl Iterator<Item = T> + 'a {
    cells.iter().zip(keep).filter(|(_, keep)| **keep).map(|(cell, _)| *cell)
}

fn copy_fixed(cells: &[u8], width: usize, to: &mut Vec<u8>, keep: &[bool]) {
    for (cell, _) in cells.chunks_exact(width).zip(keep).filter(|(_, keep)| **keep) {
        to.extend_from_slice(cell);
    }
}

/// `T` of `Name(T)`.
fn inside<'k>(kind: &'k str, name: &str) -> Option<&'k str> {
    kind.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

fn take_length(from: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *from.split_off_first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(from)?;
    from.split_off(..length)
}

fn length(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, value: &[u8]) {
    length(out, value.len());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RowBuffer, StoredTable};

    /// What `SELECT … FORMAT Native` of the server (26.7.2.1) gives for the same rows.
    #[test]
    fn a_block_is_what_the_server_itself_writes() {
        const KINDS: &[(&str, &str)] = &[
            ("n", "UInt16"),
            ("s", "String"),
            ("w", "LowCardinality(String)"),
            ("o", "Nullable(UInt8)"),
            ("a", "Array(Tuple(k LowCardinality(String), v UInt8))"),
        ];
        let mut columns = Columns::new(KINDS);
        for (number, word) in [(1u16, "x"), (2, "y"), (3, "x")] {
            let mut row = RowBuffer::default();
            row.u16(number);
            row.string("é");
            row.string(word);
            row.nullable((number != 2).then_some(7), RowBuffer::u8);
            row.length(usize::from(number == 3));
            if number == 3 {
                row.string("k");
                row.u8(9);
            }
            assert!(columns.push(row.as_bytes()));
        }
        let out = columns.block();
        let mut expected: Vec<u8> = vec![5, 3];
        let mut column = |name: &str, kind: &str, data: &[u8]| {
            text(&mut expected, name.as_bytes());
            text(&mut expected, kind.as_bytes());
            expected.extend_from_slice(data);
        };
        let word = |keys: &[u8], count: u8, cells: &[u8]| {
            let mut data = vec![0, 6, 0, 0, 0, 0, 0, 0, count, 0, 0, 0, 0, 0, 0, 0];
            data.extend_from_slice(keys);
            data.extend_from_slice(&[cells.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
            data.extend_from_slice(cells);
            data
        };
        let version = [1, 0, 0, 0, 0, 0, 0, 0];
        column("n", "UInt16", &[1, 0, 2, 0, 3, 0]);
        column("s", "String", "\u{2}é\u{2}é\u{2}é".as_bytes());
        column("w", "LowCardinality(String)", &[&version[..], &word(b"\x01x\x01y", 2, &[0, 1, 0])].concat());
        column("o", "Nullable(UInt8)", &[0, 1, 0, 7, 0, 7]);
        let ends = [[0u8; 8], [0; 8], [1, 0, 0, 0, 0, 0, 0, 0]].concat();
        let array = [&version[..], &ends, &word(b"\x01k", 1, &[0]), &[9]].concat();
        column("a", "Array(Tuple(k LowCardinality(String), v UInt8))", &array);
        assert_eq!(out, expected);
    }

    #[test]
    fn many_words_take_wider_numbers() {
        let mut words = Words::default();
        let mut expected = [(256, 0u8), (257, 1), (65_536, 1), (65_537, 2)].into_iter().peekable();
        for number in 1..=65_537 {
            words.add(format!("{number}").as_bytes());
            if let Some((_, wide)) = expected.next_if(|(count, _)| *count == number) {
                let mut out = Vec::new();
                words.write(&mut out);
                assert_eq!(out[0], wide, "{number} words");
            }
        }
        assert!(expected.next().is_none());
    }

    #[test]
    fn rows_that_are_left_out_are_as_if_they_had_never_come_and_room_is_used_again() {
        const KINDS: &[(&str, &str)] = &[
            ("i", "UInt32"),
            ("s", "String"),
            ("o", "Nullable(Int64)"),
            ("a", "Array(Tuple(k String, v UInt8))"),
            ("w", "Array(LowCardinality(String))"),
        ];
        let row = |number: u32| {
            let mut row = RowBuffer::default();
            row.u32(number);
            row.string("x".repeat(number as usize * 50));
            row.nullable(number.is_multiple_of(2).then_some(i64::from(number)), RowBuffer::i64);
            row.length(number as usize);
            (0..number).for_each(|element| {
                row.string(element.to_string());
                row.u8(element as u8);
            });
            row.strings(&["alike".to_owned()]);
            row
        };
        let of = |numbers: &[u32]| {
            let mut columns = Columns::new(KINDS);
            numbers.iter().for_each(|number| assert!(columns.push(row(*number).as_bytes())));
            columns
        };
        let all = of(&[3, 0, 5, 2]);
        assert_eq!(all.filtered(&[true, false, false, true]).block(), of(&[3, 2]).block());
        assert_eq!(all.filtered(&[true; 4]).block(), all.block());
        assert_eq!(all.filtered(&[false; 4]).rows, 0);
        let mut again = all.clone();
        again.clear();
        assert!(again.push(row(5).as_bytes()));
        assert_eq!((again.block(), again.bytes()), (of(&[5]).block(), of(&[5]).bytes()));
    }

    #[test]
    fn a_row_that_is_not_what_was_said_is_told() {
        let mut columns = Columns::new(&[("s", "String")]);
        assert!(columns.push(b"\x03abc"));
        assert!(!columns.push(b"\x05abc"), "cut short");
        assert!(!columns.push(b"\x01abc"), "too long");
    }

    #[test]
    fn every_type_of_our_tables_is_known() {
        for (name, kind) in StoredTable::ALL.iter().flat_map(|table| table.columns()) {
            assert!(Column::of(kind).is_some(), "{name} {kind}");
        }
        assert!(Column::of("Decimal(9, 2)").is_none());
    }
}

//! ClickHouse's Native format: the same rows, column by column.
//!
//! The server stores columns. A column that arrives as one is taken over with a copy, where RowBinary makes it read cell by
//! cell; and a `LowCardinality` column arrives with its dictionary. For our widest table that is a sixth of the server's CPU
//! time for an INSERT. Rows are still collected as RowBinary, because there a row can be left out; they are turned when
//! they are sent.
//!
//! Format: <https://clickhouse.com/docs/interfaces/formats/Native>; of `LowCardinality`, `SerializationLowCardinality.cpp`.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// `LowCardinality`: dictionaries travel with each block.
const SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS: u64 = 1;
/// `LowCardinality`: the block brings its own keys, and they replace those of the block before.
const OWN_KEYS: u64 = (1 << 9) | (1 << 10);

/// `rows` rows of RowBinary as one block. Nothing if they are not what `columns` says.
pub(crate) fn block(columns: &[(&str, &str)], rows: usize, mut cells: &[u8]) -> Option<Vec<u8>> {
    let mut turned: Vec<Column<'_>> = columns.iter().map(|(_, kind)| Column::of(kind)).collect::<Option<_>>()?;
    let size = cells.len();
    for _ in 0..rows {
        for column in &mut turned {
            column.take(&mut cells)?;
        }
    }
    if !cells.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(size + size / 8 + 4096);
    length(&mut out, columns.len());
    length(&mut out, rows);
    for ((name, kind), column) in columns.iter().zip(&turned) {
        text(&mut out, name.as_bytes());
        text(&mut out, kind.as_bytes());
        column.write_prefix(&mut out);
        column.write(&mut out);
    }
    Some(out)
}

/// Cells of one type.
enum Column<'a> {
    Fixed { width: usize, cells: Vec<u8> },
    Text(Vec<u8>),
    Word(Words<'a>),
    Nullable { nulls: Vec<u8>, empty: usize, inner: Box<Column<'a>> },
    Array { ends: Vec<u8>, elements: u64, inner: Box<Column<'a>> },
    Tuple(Vec<Column<'a>>),
}

/// A dictionary, and which of its words each cell is.
#[derive(Default)]
struct Words<'a> {
    numbers: HashMap<&'a [u8], u32, RandomState>,
    words: Vec<u8>,
    cells: Vec<u32>,
    last: Option<(&'a [u8], u32)>,
}

impl<'a> Column<'a> {
    /// An empty column of a type that our tables use.
    fn of(kind: &str) -> Option<Self> {
        if let Some(inner) = inside(kind, "Nullable") {
            let inner = Self::of(inner)?;
            let Self::Fixed { width, .. } = &inner else { return None };
            return Some(Self::Nullable { nulls: Vec::new(), empty: *width, inner: Box::new(inner) });
        }
        if let Some(inner) = inside(kind, "Array") {
            return Some(Self::Array { ends: Vec::new(), elements: 0, inner: Box::new(Self::of(inner)?) });
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

    /// Takes one cell off the front of `from`.
    fn take(&mut self, from: &mut &'a [u8]) -> Option<()> {
        match self {
            Self::Fixed { width, cells } => cells.extend_from_slice(from.split_off(..*width)?),
            Self::Text(cells) => {
                let value = take_text(from)?;
                text(cells, value);
            }
            Self::Word(words) => words.add(take_text(from)?),
            Self::Nullable { nulls, empty, inner } => {
                let null = *from.split_off_first()?;
                nulls.push(null);
                match (null, inner.as_mut()) {
                    (0, inner) => inner.take(from)?,
                    (_, Self::Fixed { cells, .. }) => cells.resize(cells.len() + *empty, 0),
                    _ => return None,
                }
            }
            Self::Array { ends, elements, inner } => {
                let count = take_length(from)?;
                for _ in 0..count {
                    inner.take(from)?;
                }
                *elements += count as u64;
                ends.extend_from_slice(&elements.to_le_bytes());
            }
            Self::Tuple(members) => {
                for member in members {
                    member.take(from)?;
                }
            }
        }
        Some(())
    }

    /// What stands before all data of a column.
    fn write_prefix(&self, out: &mut Vec<u8>) {
        match self {
            Self::Word(_) => out.extend_from_slice(&SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS.to_le_bytes()),
            Self::Nullable { inner, .. } | Self::Array { inner, .. } => inner.write_prefix(out),
            Self::Tuple(members) => members.iter().for_each(|member| member.write_prefix(out)),
            Self::Fixed { .. } | Self::Text(_) => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { cells, .. } | Self::Text(cells) => out.extend_from_slice(cells),
            Self::Word(words) => words.write(out),
            Self::Nullable { nulls, inner, .. } => {
                out.extend_from_slice(nulls);
                inner.write(out);
            }
            Self::Array { ends, inner, .. } => {
                out.extend_from_slice(ends);
                inner.write(out);
            }
            Self::Tuple(members) => members.iter().for_each(|member| member.write(out)),
        }
    }
}

impl<'a> Words<'a> {
    fn add(&mut self, word: &'a [u8]) {
        // Neighbours are often alike.
        if let Some((last, number)) = self.last
            && last == word
        {
            self.cells.push(number);
            return;
        }
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(word).or_insert(next);
        if number == next {
            text(&mut self.words, word);
        }
        self.last = Some((word, number));
        self.cells.push(number);
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
        let columns = [
            ("n", "UInt16"),
            ("s", "String"),
            ("w", "LowCardinality(String)"),
            ("o", "Nullable(UInt8)"),
            ("a", "Array(Tuple(k LowCardinality(String), v UInt8))"),
        ];
        let mut rows = RowBuffer::default();
        for (number, word) in [(1u16, "x"), (2, "y"), (3, "x")] {
            rows.u16(number);
            rows.string("é");
            rows.string(word);
            rows.nullable((number != 2).then_some(7), RowBuffer::u8);
            rows.length(usize::from(number == 3));
            if number == 3 {
                rows.string("k");
                rows.u8(9);
            }
        }
        let out = block(&columns, 3, rows.as_bytes()).unwrap();
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
        let mut rows = RowBuffer::default();
        (0..70_000).for_each(|number| rows.string(number.to_string()));
        for (count, wide) in [(256, 0u8), (257, 1), (65_536, 1), (65_537, 2)] {
            let mut cells = rows.as_bytes();
            let mut column = Column::of("LowCardinality(String)").unwrap();
            (0..count).for_each(|_| column.take(&mut cells).unwrap());
            let mut out = Vec::new();
            column.write(&mut out);
            assert_eq!(out[0], wide, "{count} words");
        }
    }

    #[test]
    fn rows_that_are_not_what_was_said_give_nothing() {
        let columns = [("s", "String")];
        assert!(block(&columns, 1, b"\x05abc").is_none(), "cut short");
        assert!(block(&columns, 1, b"\x01abc").is_none(), "too long");
        assert!(block(&[("x", "Decimal(9, 2)")], 0, b"").is_none(), "a type that nobody uses");
    }

    #[test]
    fn every_type_of_our_tables_is_known() {
        for (name, kind) in StoredTable::ALL.iter().flat_map(|table| table.columns()) {
            assert!(Column::of(kind).is_some(), "{name} {kind}");
        }
    }
}

//! Labelled texts from a file: CSV or JSON lines, in the state people have them in.

use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeSet, fs, path::Path};

/// Which columns to read.
#[derive(Clone, Debug)]
pub struct Columns<'a> {
    /// Of the text.
    pub text: &'a str,
    /// Of the label.
    pub label: &'a str,
    /// Of the subject, if there is one.
    pub subject: Option<&'a str>,
}

/// A row; any of them may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The subject line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The label.
    pub label: String,
}

/// What stood in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// In the order of the file.
    pub rows: Vec<Row>,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// What a person should know of it.
    pub warnings: Vec<String>,
}

/// Reads the file.
pub fn read(path: &Path, columns: &Columns<'_>) -> anyhow::Result<Labelled> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let labelled = parse(&bytes, is_json(path, &bytes), columns);
    labelled.map(|found| Labelled { sha256, ..found }).with_context(|| format!("reading {}", path.display()))
}

fn is_json(path: &Path, bytes: &[u8]) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl" | "ndjson" | "json") => true,
        Some("csv" | "tsv") => false,
        _ => bytes.trim_ascii_start().starts_with(b"{"),
    }
}

fn parse(bytes: &[u8], json: bool, columns: &Columns<'_>) -> anyhow::Result<Labelled> {
    let text = decode(bytes)?;
    if text.trim().is_empty() {
        bail!("the file is empty");
    }
    if json { parse_json(&text, columns) } else { parse_csv(&text, columns) }
}

/// UTF-8, or what a byte order mark says. Guessing would learn from rubbish without a word.
fn decode(bytes: &[u8]) -> anyhow::Result<Cow<'_, str>> {
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(bytes) {
        let (text, _, broken) = encoding.decode(bytes);
        return if broken { bail!("the file claims to be {} and is not", encoding.name()) } else { Ok(text) };
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    let lines = || bytes.split(|byte| *byte == b'\n').enumerate();
    let broken = || lines().filter(|(_, line)| std::str::from_utf8(line).is_err());
    let first = broken().next().map_or(0, |(line, _)| line + 1);
    bail!(
        "{} of {} lines are not UTF-8 (the first is line {first}). Convert the file, for instance by \
         `iconv -f WINDOWS-1252 -t UTF-8`",
        broken().count(),
        lines().count()
    )
}

fn missing(column: &str, known: impl Iterator<Item = String>) -> anyhow::Error {
    let known: Vec<String> = known.collect();
    anyhow::anyhow!("there is no column {column:?}. The file has: {}", known.join(", "))
}

fn parse_csv(text: &str, columns: &Columns<'_>) -> anyhow::Result<Labelled> {
    let first_line = text.lines().next().unwrap_or_default();
    let delimiter = b",;\t"
        .iter()
        .copied()
        .rev()
        .max_by_key(|delimiter| first_line.bytes().filter(|byte| byte == delimiter).count())
        .unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().context("reading the header")?.clone();
    let place = |column: &str| {
        let found = header.iter().position(|name| name.trim() == column);
        found.ok_or_else(|| missing(column, header.iter().map(|name| name.trim().to_owned())))
    };
    let (text_at, label_at) = (place(columns.text)?, place(columns.label)?);
    let subject_at = columns.subject.map(place).transpose()?;
    let mut labelled = Labelled::default();
    let (mut uneven, mut first_uneven) = (0, 0);
    for record in reader.records() {
        let record = record.context("reading a row")?;
        if record.len() != header.len() {
            uneven += 1;
            if uneven == 1 {
                first_uneven = record.position().map_or(0, csv::Position::line);
            }
            continue;
        }
        let cell = |at: usize| record.get(at).unwrap_or_default().to_owned();
        let subject = subject_at.map(cell).unwrap_or_default();
        labelled.rows.push(Row { subject, text: cell(text_at), label: cell(label_at) });
    }
    if uneven > 0 {
        labelled.warnings.push(format!(
            "{uneven} rows left away: they have another number of cells than the header (the first begins in line \
             {first_uneven}; an unclosed quote, or a delimiter inside a cell?)"
        ));
    }
    Ok(labelled)
}

fn parse_json(text: &str, columns: &Columns<'_>) -> anyhow::Result<Labelled> {
    let mut labelled = Labelled::default();
    let (mut broken, mut first_broken) = (0, 0);
    let mut known = BTreeSet::new();
    let mut found = [false, false, columns.subject.is_none()];
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) else {
            broken += 1;
            if broken == 1 {
                first_broken = number + 1;
            }
            continue;
        };
        let wanted = [Some(columns.text), Some(columns.label), columns.subject];
        let mut cells = wanted.iter().zip(&mut found).map(|(column, found)| {
            let value = column.and_then(|column| object.get(column));
            *found |= value.is_some();
            match value {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => value.to_string(),
                _ => String::new(),
            }
        });
        let mut next = || cells.next().unwrap_or_default();
        let (text, label, subject) = (next(), next(), next());
        labelled.rows.push(Row { subject, text, label });
        if known.len() < 100 {
            known.extend(object.keys().cloned());
        }
    }
    if labelled.rows.is_empty() {
        bail!("none of {broken} lines is a JSON object");
    }
    let wanted = [columns.text, columns.label, columns.subject.unwrap_or_default()];
    if let Some((column, _)) = wanted.iter().zip(found).find(|(_, found)| !found) {
        return Err(missing(column, known.into_iter()));
    }
    if broken > 0 {
        labelled
            .warnings
            .push(format!("{broken} lines left away: they are not JSON objects (the first is line {first_broken})"));
    }
    Ok(labelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns<'_> = Columns { text: "text", label: "label", subject: None };

    fn csv(bytes: &[u8]) -> anyhow::Result<Labelled> {
        parse(bytes, false, &COLUMNS)
    }

    fn row(text: &str, label: &str) -> Row {
        Row { subject: String::new(), text: text.into(), label: label.into() }
    }

    #[test]
    fn commas_semicolons_and_tabs_part_cells_and_a_mark_of_order_is_no_name() {
        let expected = [row("late, again", "delivery"), row("", "x")];
        for file in [
            &b"text,label\n\"late, again\",delivery\n,x\n"[..],
            b"\xef\xbb\xbftext;label\r\nlate, again;delivery\r\n;x\r\n",
            b"text\tlabel\nlate, again\tdelivery\n\tx\n",
        ] {
            assert_eq!(csv(file).unwrap().rows, expected);
        }
        let wide: Vec<u8> = "\u{feff}text,label\na,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(csv(&wide).unwrap().rows, [row("a", "b")]);
    }

    #[test]
    fn a_missing_column_is_named_beside_those_that_are_there() {
        let error = csv(b"body,queue\na,b\n").unwrap_err().to_string();
        assert_eq!(error, "there is no column \"text\". The file has: body, queue");
        let error = parse(b"{\"body\":1}\n", true, &COLUMNS).unwrap_err().to_string();
        assert_eq!(error, "there is no column \"text\". The file has: body");
    }

    #[test]
    fn a_wrong_encoding_is_an_error_that_counts_and_says_what_to_do() {
        let error = csv(b"text,label\nok,a\ncaf\xe9,b\n\xe9,c\n").unwrap_err().to_string();
        assert!(
            error.contains("2 of 5 lines are not UTF-8 (the first is line 3)") && error.contains("iconv"),
            "{error}"
        );
        assert!(csv(b"").is_err() && csv(b" \n").is_err());
    }

    #[test]
    fn broken_rows_are_counted_and_left_away() {
        let found = csv(b"text,label\na,b\nonly one\nc,d,e\nf,g\n").unwrap();
        assert_eq!(found.rows, [row("a", "b"), row("f", "g")]);
        assert!(found.warnings[0].starts_with("2 rows left away") && found.warnings[0].contains("line 3"));
        let lines = b"{\"text\":\"a\",\"label\":7}\nnonsense\n\n{\"text\":\"b\",\"label\":null}\n";
        let found = parse(lines, true, &COLUMNS).unwrap();
        assert_eq!(found.rows, [row("a", "7"), row("b", "")]);
        assert!(found.warnings[0].starts_with("1 lines left away"), "{:?}", found.warnings);
    }
}

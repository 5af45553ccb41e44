//! The answer to a question: columns and rows, shown as text, CSV or JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// ClickHouse's type of it, such as `UInt64` or `Nullable(Float64)`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Columns and rows. Times are RFC 3339 in UTC, numbers are numbers, NULL is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// In the order of the query.
    pub columns: Vec<Column>,
    /// One value for each column.
    pub rows: Vec<Vec<Value>>,
}

/// What is wrong with an answer.
pub(crate) struct Unreadable(pub String);

#[derive(Deserialize)]
struct JsonCompact {
    meta: Vec<Column>,
    data: Vec<Vec<Value>>,
}

/// Reads ClickHouse's JSONCompact format.
pub(crate) fn from_json_compact(body: &[u8]) -> Result<Table, Unreadable> {
    let parsed: JsonCompact = serde_json::from_slice(body).map_err(|error| Unreadable(error.to_string()))?;
    let width = parsed.meta.len();
    let mut rows = parsed.data;
    for row in &mut rows {
        if row.len() != width {
            return Err(Unreadable(format!("a row of {} values under {width} columns", row.len())));
        }
        for (value, column) in row.iter_mut().zip(&parsed.meta) {
            normalise(value, &column.kind);
        }
    }
    Ok(Table { columns: parsed.meta, rows })
}

/// Large integers may come as text (`output_format_json_quote_64bit_integers`), times come without their zone.
fn normalise(value: &mut Value, kind: &str) {
    let kind = kind.strip_prefix("Nullable(").unwrap_or(kind);
    match value {
        Value::String(text) if kind.starts_with("UInt64") || kind.starts_with("Int64") => {
            if let Ok(number) = text.parse::<serde_json::Number>() {
                *value = Value::Number(number);
            }
        }
        Value::String(text) if kind.starts_with("DateTime") && text.len() >= 19 => {
            text.replace_range(10..11, "T");
            text.push('Z');
        }
        _ => {}
    }
}

impl Table {
    /// The value in a row, by the column's name.
    pub fn value(&self, row: usize, column: &str) -> Option<&Value> {
        let position = self.columns.iter().position(|candidate| candidate.name == column)?;
        self.rows.get(row)?.get(position)
    }

    /// `{"columns":[{"name","type"}],"rows":[{column: value}]}`.
    pub fn to_json(&self) -> Value {
        let object = |row: &Vec<Value>| -> Value {
            self.columns
                .iter()
                .map(|column| column.name.clone())
                .zip(row.iter().cloned())
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        serde_json::json!({ "columns": self.columns, "rows": self.rows.iter().map(object).collect::<Vec<_>>() })
    }

    /// RFC 4180: a header line, CRLF, quotes where they are needed; NULL is empty.
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        let header = self.columns.iter().map(|column| column.name.clone());
        csv_line(&mut text, header);
        for row in &self.rows {
            csv_line(&mut text, row.iter().map(|value| shown(value, "")));
        }
        text
    }

    /// Aligned columns for a terminal; numbers to the right, NULL as a dash.
    pub fn to_text(&self) -> String {
        let cells: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|value| shown(value, "-")).collect()).collect();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| {
                let widest = cells.iter().map(|row| row[position].chars().count()).max().unwrap_or(0);
                widest.max(column.name.chars().count())
            })
            .collect();
        let mut text = String::new();
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.text_line(&mut text, &names, &widths);
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        self.text_line(&mut text, &rule, &widths);
        for row in &cells {
            self.text_line(&mut text, row, &widths);
        }
        text
    }

    fn text_line(&self, text: &mut String, cells: &[String], widths: &[usize]) {
        let mut line = String::new();
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            let padding = " ".repeat(width - cell.chars().count());
            let kind = column.kind.strip_prefix("Nullable(").unwrap_or(&column.kind);
            let number = ["UInt", "Int", "Float", "Decimal"].iter().any(|prefix| kind.starts_with(prefix));
            let (before, after) = if number { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn shown(value: &Value, null: &str) -> String {
    match value {
        Value::Null => null.to_owned(),
        // A line break or a control character in someone's text must not break the layout or reach the terminal.
        Value::String(text) => {
            text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
        }
        other => other.to_string(),
    }
}

fn csv_line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (position, cell) in cells.enumerate() {
        if position > 0 {
            text.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let body = br#"{"meta":[{"name":"channel","type":"LowCardinality(String)"},{"name":"cases","type":"UInt64"},
            {"name":"median","type":"Nullable(Float64)"},{"name":"at","type":"DateTime64(3, 'UTC')"}],
            "data":[["email","12",1.5,"2026-03-01 09:30:00.000"],["so,cial \"x\"",3,null,"2026-03-01 09:30:00.000"]],"rows":2}"#;
        from_json_compact(body).map_err(|error| error.0).unwrap()
    }

    #[test]
    fn quoted_integers_become_numbers_and_times_name_their_zone() {
        let table = sample();
        assert_eq!(table.value(0, "cases"), Some(&Value::from(12)));
        assert_eq!(table.value(1, "at"), Some(&Value::from("2026-03-01T09:30:00.000Z")));
        assert_eq!(table.value(0, "nothing"), None);
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let csv = sample().to_csv();
        assert_eq!(csv.lines().nth(2), Some("\"so,cial \"\"x\"\"\",3,,2026-03-01T09:30:00.000Z"));
    }

    #[test]
    fn text_aligns_numbers_to_the_right() {
        let text = sample().to_text();
        assert_eq!(text.lines().next(), Some("channel      cases  median  at"));
        assert_eq!(text.lines().nth(3), Some("so,cial \"x\"      3       -  2026-03-01T09:30:00.000Z"));
    }

    #[test]
    fn a_row_of_the_wrong_width_is_refused() {
        assert!(from_json_compact(br#"{"meta":[],"data":[[1]]}"#).is_err());
        assert!(from_json_compact(b"<html>").is_err());
    }
}

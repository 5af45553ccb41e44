//! `asterisk`: CDR and CEL records, pushed over HTTP with a token: CSV lines, JSON objects, or a JSON array.
//!
//! Asterisk writes several records for one call: one for each pair of parties, one for each phone that rang. They meet by `linkedid`.
//! What a record cannot know (whether another phone answered) it does not say; the fold does.
//! CDR specification and `cdr.conf.sample`, `cel_custom.conf.sample` of asterisk/documentation and asterisk/asterisk; FreePBX's `cdr` table.

mod cdr;
mod cel;

use super::{Inbound, Provider, Undecodable};
use crate::{config::Account, item::CallFact};
use jiff::{civil::DateTime, tz::TimeZone};
use outcry_domain::Timestamp;
use outcry_webhook::signature::{BadSecret, SharedToken, Unauthentic, bearer};
use serde_json::{Map, Value};
use std::borrow::Cow;

struct Asterisk {
    /// None when the account is only a file: then nobody can post.
    token: Option<SharedToken>,
    rows: Rows,
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    let token = match account.active_secrets() {
        secrets if secrets.is_empty() && account.cdr_file.is_some() => None,
        secrets => Some(SharedToken::new(secrets)?),
    };
    Ok(Box::new(Asterisk { token, rows: Rows::new(&account.timezone) }))
}

impl Provider for Asterisk {
    fn takes_path_token(&self) -> bool {
        true
    }

    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        let known = self.token.as_ref().ok_or(Unauthentic::Mismatch)?;
        match inbound.path_token {
            Some(token) => known.verify(token),
            None => known.verify(bearer(&inbound.webhook.headers)?),
        }
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        self.rows.parse(&inbound.webhook.body)
    }
}

/// A record's fields by lower-case name, without empty ones.
#[derive(Clone, Debug, Default)]
struct Row(Vec<(Cow<'static, str>, String)>);

impl Row {
    fn get(&self, name: &str) -> Option<&str> {
        // Some twenty fields: looking through them is quicker than hashing.
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Everything but what stands in columns of its own.
    fn rest(&self, known: &[&str]) -> Map<String, Value> {
        let rest = self.0.iter().filter(|(name, _)| !known.contains(&&**name));
        rest.map(|(name, value)| (name.to_string(), Value::String(value.clone()))).collect()
    }
}

/// Reads records, in the time zone that the PBX writes.
pub struct Rows {
    zone: TimeZone,
}

impl Rows {
    /// With the account's zone; `Config::validate` has refused an unknown one.
    pub fn new(timezone: &str) -> Self {
        Self { zone: TimeZone::get(timezone).unwrap_or(TimeZone::UTC) }
    }

    /// Whether a line is the header of a CSV file.
    pub fn is_header(&self, line: &[u8]) -> bool {
        String::from_utf8_lossy(line)
            .split([',', ';', '\t', '|'])
            .any(|name| name.trim().trim_matches('"').eq_ignore_ascii_case("uniqueid"))
    }

    /// The facts of a body: CSV lines, with a header or without, JSON objects, or an array of them.
    pub fn parse(&self, body: &[u8]) -> Result<Vec<CallFact>, Undecodable> {
        let rows = match body.trim_ascii_start().first() {
            None => return Err(Undecodable("the body is empty".into())),
            Some(b'{' | b'[') => json_rows(body)?,
            Some(_) => csv_rows(body)?,
        };
        let facts = rows.iter().enumerate().map(|(number, row)| {
            self.fact(row).map_err(|error| Undecodable(format!("record {}: {error}", number + 1)))
        });
        facts.collect()
    }

    fn fact(&self, row: &Row) -> Result<CallFact, Undecodable> {
        if row.get("eventtype").or(row.get("eventname")).is_some() {
            cel::fact(row, self)
        } else {
            cdr::fact(row, self)
        }
    }

    /// A time as Asterisk writes it: seconds since 1970, or local time, which is ambiguous for an hour a year. The epoch in the channel's
    /// id, which is about when the call began, then decides.
    fn time(&self, text: &str, uniqueid: Option<&str>) -> Option<Timestamp> {
        if let Ok(seconds) = text.parse::<f64>() {
            return Some(Timestamp::from_millis((seconds * 1000.0).round() as i64)).filter(|_| seconds > 0.0);
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(instant);
        }
        let local: DateTime = text.trim().parse().ok()?;
        let ambiguous = self.zone.to_ambiguous_zoned(local);
        let near = uniqueid.and_then(epoch);
        let candidates = [ambiguous.clone().earlier(), ambiguous.later()];
        let times = candidates.into_iter().flatten().map(|zoned| Timestamp::from(zoned.timestamp()));
        times.min_by_key(|time| near.map_or(0, |near| time.millis_since(near).unsigned_abs()))
    }
}

/// The epoch in `[system-]1270167992.0`.
fn epoch(uniqueid: &str) -> Option<Timestamp> {
    let number = uniqueid.rsplit('-').next()?.split('.').next()?;
    number.parse().ok().filter(|seconds| *seconds > 0).map(Timestamp::from_seconds)
}

fn json_rows(body: &[u8]) -> Result<Vec<Row>, Undecodable> {
    let broken = |error: serde_json::Error| {
        Undecodable(format!("the body is not JSON: line {} column {}", error.line(), error.column()))
    };
    let mut rows = Vec::new();
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        match value.map_err(broken)? {
            Value::Array(list) => rows.extend(list.iter().map(json_row).collect::<Result<Vec<_>, _>>()?),
            value => rows.push(json_row(&value)?),
        }
    }
    Ok(rows)
}

fn json_row(value: &Value) -> Result<Row, Undecodable> {
    let object = value.as_object().ok_or_else(|| Undecodable("a record is not a JSON object".into()))?;
    let fields = object.iter().filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => return None,
            other => other.to_string(),
        };
        (!text.trim().is_empty()).then(|| (Cow::Owned(name.to_lowercase()), text))
    });
    Ok(renamed(fields.collect()))
}

/// The names that the manager interface gives to the same fields (manager events `Cdr` and `CEL`).
fn renamed(mut fields: Vec<(Cow<'static, str>, String)>) -> Row {
    let event = fields.iter().find(|(name, _)| name == "event").map(|(_, event)| event.to_lowercase());
    let names: &[(&str, &'static str)] = match event.as_deref() {
        Some("cdr") => &[
            ("source", "src"),
            ("destination", "dst"),
            ("destinationcontext", "dcontext"),
            ("callerid", "clid"),
            ("destinationchannel", "dstchannel"),
            ("lastapplication", "lastapp"),
            ("starttime", "start"),
            ("answertime", "answer"),
            ("endtime", "end"),
            ("billableseconds", "billsec"),
        ],
        Some("cel") => &[
            ("calleridnum", "cidnum"),
            ("calleridname", "cidname"),
            ("channel", "channame"),
            ("application", "appname"),
        ],
        _ => &[],
    };
    for (name, _) in &mut fields {
        if let Some((_, ours)) = names.iter().find(|(theirs, _)| theirs == name) {
            *name = Cow::Borrowed(ours);
        }
    }
    Row(fields)
}

/// What stands between the columns of a file with a header; `cdr_custom` may be told to write another separator.
fn separator(body: &[u8]) -> u8 {
    let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |byte: u8| first.iter().filter(|found| **found == byte).count();
    let is_header = first.to_ascii_lowercase().windows(8).any(|window| window == b"uniqueid");
    [b';', b'\t', b'|'].into_iter().find(|byte| is_header && count(*byte) > count(b',')).unwrap_or(b',')
}

/// `cdr_csv` writes these without a header; the last five depend on its options (`cdr.conf.sample`).
const CDR_COLUMNS: [&str; 21] = [
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "userfield",
    "peeraccount",
    "linkedid",
    "sequence",
];
/// The columns of `cel_custom.conf.sample`.
const CEL_COLUMNS: [&str; 20] = [
    "eventtype",
    "eventtime",
    "cidname",
    "cidnum",
    "cidani",
    "cidrdnis",
    "ciddnid",
    "exten",
    "context",
    "channame",
    "appname",
    "appdata",
    "amaflags",
    "accountcode",
    "uniqueid",
    "linkedid",
    "bridgepeer",
    "userfield",
    "userdeftype",
    "eventextra",
];

/// The columns of a line without a header, by their number.
fn known_columns(record: &csv::ByteRecord) -> Option<&'static [&'static str]> {
    let first = record.get(0).unwrap_or_default();
    let event = !first.is_empty() && first.iter().all(|letter| letter.is_ascii_uppercase() || *letter == b'_');
    match record.len() {
        20 if event => Some(&CEL_COLUMNS),
        16..=18 | 21 => Some(&CDR_COLUMNS),
        _ => None,
    }
}

fn csv_rows(body: &[u8]) -> Result<Vec<Row>, Undecodable> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut options = csv::ReaderBuilder::new();
    let mut reader = options.delimiter(separator(body)).has_headers(false).flexible(true).from_reader(body);
    let mut header: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    for (number, record) in reader.byte_records().enumerate() {
        let record = record.map_err(|_| Undecodable(format!("line {} is not CSV", number + 1)))?;
        if number == 0 {
            let lower = record.iter().map(|value| String::from_utf8_lossy(value).trim().to_lowercase());
            let names: Vec<String> = lower.collect();
            if names.iter().any(|name| name == "uniqueid") {
                header = Some(names);
                continue;
            }
        }
        let values = record.iter().map(String::from_utf8_lossy);
        let filled = |value: &Cow<'_, str>| !value.trim().is_empty();
        let fields = match (&header, known_columns(&record)) {
            (Some(header), _) => {
                let named = header.iter().zip(values).filter(|(_, value)| filled(value));
                named.map(|(name, value)| (Cow::Owned(name.clone()), value.into_owned())).collect()
            }
            (None, Some(columns)) => {
                let named = columns.iter().zip(values).filter(|(_, value)| filled(value));
                named.map(|(name, value)| (Cow::Borrowed(*name), value.into_owned())).collect()
            }
            (None, None) => {
                return Err(Undecodable(format!(
                    "line {} has {} columns; cdr_csv writes 16, 17, 18 or 21 and cel_custom 20, or put a header line first",
                    number + 1,
                    record.len()
                )));
            }
        };
        rows.push(Row(fields));
    }
    Ok(rows)
}

/// `SIP/bob-00000001` without the part that changes with every call.
fn endpoint(channel: &str) -> String {
    match channel.rsplit_once('-') {
        Some((peer, serial)) if serial.chars().all(|digit| digit.is_ascii_hexdigit() || digit == ';') => {
            peer.to_owned()
        }
        _ => channel.to_owned(),
    }
}

#[cfg(test)]
#[path = "../asterisk_tests.rs"]
mod tests;

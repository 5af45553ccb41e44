//! The files of a folder as requests that a provider would make, not yet signed.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// The accounts, by the provider's name in the configuration.
pub const PROVIDERS: [&str; 7] = ["twilio", "vonage", "aircall", "telnyx", "zammad_cti", "standard", "asterisk"];

/// One thing that a provider says.
pub struct Payload {
    /// The file.
    pub name: String,
    pub provider: &'static str,
    /// By GET: what it says is in the query.
    pub get: bool,
    pub content_type: &'static str,
    /// Of a GET.
    pub query: String,
    pub body: Vec<u8>,
    /// What it proves itself by, where that is in the payload.
    pub token: Option<String>,
}

impl Payload {
    fn post(name: &str, provider: &'static str, content_type: &'static str, body: Vec<u8>) -> Self {
        let (name, query) = (name.to_owned(), String::new());
        Self { name, provider, get: false, content_type, query, body, token: None }
    }

    fn get(name: &str, provider: &'static str, query: &str) -> Self {
        let (name, query) = (name.to_owned(), query.to_owned());
        Self { name, provider, get: true, content_type: "", query, body: Vec::new(), token: None }
    }

    /// The bytes that carry what it says.
    pub fn said(&self) -> &[u8] {
        if self.get { self.query.as_bytes() } else { &self.body }
    }

    /// The fields, of a form or query as texts.
    pub fn fields(&self) -> Result<Map<String, Value>> {
        if self.content_type == JSON {
            let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
            return serde_json::from_slice(body).with_context(|| format!("{} is not a JSON object", self.name));
        }
        let mut fields = Map::new();
        for (name, value) in pairs(std::str::from_utf8(self.said()).context("a form that is not text")?) {
            fields.insert(name, value.into());
        }
        Ok(fields)
    }
}

pub const JSON: &str = "application/json";
pub const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

/// Name and value of each pair, decoded.
pub fn pairs(encoded: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{encoded}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

fn encode(pairs: &[(String, String)]) -> String {
    let mut url = reqwest::Url::parse("http://x/").unwrap_or_else(|_| unreachable!("a literal URL"));
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// Everything in the folders of the seven providers.
pub fn read(folder: &Path) -> Result<Vec<Payload>> {
    let mut payloads = Vec::new();
    for provider in PROVIDERS {
        let of_provider = folder.join(match provider {
            "zammad_cti" => "zammad-cti",
            "standard" => "standard-webhooks",
            other => other,
        });
        let Ok(entries) = fs::read_dir(&of_provider) else { continue };
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            let name = format!("{provider}/{name}");
            payloads.extend(of_file(provider, &name, bytes).with_context(|| format!("reading {name}"))?);
        }
    }
    ensure!(!payloads.is_empty(), "there is no payload of a telephone provider in {}", folder.display());
    Ok(payloads)
}

fn of_file(provider: &'static str, name: &str, bytes: Vec<u8>) -> Result<Vec<Payload>> {
    let text = || String::from_utf8(bytes.clone()).context("not text");
    let one = match name {
        _ if name.ends_with("voice_incoming_vector.json") => {
            let vectors: Vec<Value> = serde_json::from_slice(&bytes)?;
            let form = |vector: &Value| {
                let pairs: Vec<(String, String)> = serde_json::from_value(vector["params"].clone()).unwrap_or_default();
                Payload::post(name, provider, FORM, encode(&pairs).into_bytes())
            };
            return Ok(vectors.iter().map(form).collect());
        }
        _ if name.contains("vector") || name.ends_with(".headers.txt") => return Ok(Vec::new()),
        _ if name.ends_with(".form") => Payload::post(name, provider, FORM, text()?.trim_end().as_bytes().to_vec()),
        _ if name.ends_with(".query.txt") => {
            let text = text()?;
            Payload::get(name, provider, text.trim_end().split_once('?').context("no query")?.1)
        }
        _ if name.ends_with(".form-fields.txt") => {
            let text = text()?;
            let field = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_owned(), value.trim().trim_matches('"').to_owned()))
            };
            let pairs: Vec<_> = text.lines().filter_map(field).collect();
            Payload::post(name, provider, FORM, encode(&pairs).into_bytes())
        }
        _ if name.ends_with(".http.txt") => http(provider, name, &text()?)?,
        // What an add-on found out comes as one field of a form.
        _ if name.contains("add_on") => {
            let pairs = [
                ("CallSid".to_owned(), "CA00000000000000000000000000000001".to_owned()),
                ("AddOns".to_owned(), text()?),
            ];
            Payload::post(name, provider, FORM, encode(&pairs).into_bytes())
        }
        _ if name.ends_with(".json") => {
            let mut payload = Payload::post(name, provider, JSON, bytes);
            payload.token = payload.fields()?.get("token").and_then(Value::as_str).map(str::to_owned);
            payload
        }
        _ if name.ends_with(".csv") => {
            return Ok(lines(&text()?)
                .map(|line| Payload::post(name, provider, "text/csv", line.into_bytes()))
                .collect());
        }
        // The specification's tables of CDR are records; those of CEL tell a story and have no times.
        _ if name.ends_with(".table.md") && text()?.contains("uniqueid") => {
            let records = table(&text()?, name);
            let post = |record: &Value| Payload::post(name, provider, JSON, record.to_string().into_bytes());
            return Ok(records.iter().map(post).collect());
        }
        _ => return Ok(Vec::new()),
    };
    Ok(vec![one])
}

fn lines(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    lines.into_iter().filter(move |line| seen.borrow_mut().insert(line.clone()))
}

fn http(provider: &'static str, name: &str, text: &str) -> Result<Payload> {
    let text = text.replace("\r\n", "\n");
    let first = text.lines().next().context("an empty file")?;
    let target = first.split(' ').nth(1).context("no target")?;
    if first.starts_with("GET ") {
        return Ok(Payload::get(name, provider, target.split_once('?').context("no query")?.1));
    }
    let (head, body) = text.split_once("\n\n").context("no body")?;
    let form = head.to_ascii_lowercase().contains("x-www-form-urlencoded");
    Ok(Payload::post(name, provider, if form { FORM } else { JSON }, body.trim_end().as_bytes().to_vec()))
}

/// The rows of a Markdown table, each as an object. The specification gives the same ids to different calls; here each file has its own.
fn table(text: &str, name: &str) -> Vec<Value> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().trim_matches('"').to_owned()).collect()
    };
    let mut rows = text.lines().filter(|line| line.trim_start().starts_with('|')).map(cells);
    let Some(names) = rows.next() else { return Vec::new() };
    rows.skip(1)
        .map(|values| {
            let fields = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
            let own = |(column, value): (&String, String)| match column.as_str() {
                "uniqueid" | "linkedid" => (column.clone(), format!("{name}-{value}")),
                _ => (column.clone(), value),
            };
            json!(fields.map(own).collect::<std::collections::BTreeMap<_, _>>())
        })
        .collect()
}

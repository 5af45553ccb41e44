//! A thin client of ClickHouse's HTTP interface: bounded time, no compression, one body of known length.

use crate::{
    ClickHouseConfig, Table, WarehouseError,
    error::advice,
    table::{self, Unreadable},
};
use bytes::{Bytes, BytesMut};
use outcry_runtime::Secret;
use reqwest::header::HeaderMap;
use std::{sync::Arc, time::Duration};
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For questions; inserts and kills have their own.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// ClickHouse closes an idle connection after 10 s (`keep_alive_timeout`); we let go of it before.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// No answer that we ask for comes near; what exceeds it is an error rather than memory.
const ANSWER_LIMIT: usize = 64 << 20;

/// ClickHouse, as one user and one database. Cheap to clone; the clones share one connection pool.
#[derive(Clone)]
pub struct Warehouse {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    url: Url,
    database: String,
    username: String,
    password: Secret,
}

impl std::fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warehouse")
            .field("url", &self.inner.url.as_str())
            .field("database", &self.inner.database)
            .finish_non_exhaustive()
    }
}

/// One statement to send.
pub(crate) struct Request<'a> {
    /// What it is for, as an error says it: "storing rows".
    pub doing: &'static str,
    pub sql: &'a str,
    /// Rows to insert; the statement then travels in the address.
    pub body: Option<Bytes>,
    pub settings: &'a [(&'a str, &'a str)],
    pub parameters: &'a [(&'a str, String)],
    pub query_id: Option<&'a str>,
    /// `false` for the one statement that creates the database.
    pub in_database: bool,
    pub timeout: Duration,
}

impl<'a> Request<'a> {
    pub fn new(doing: &'static str, sql: &'a str) -> Self {
        Self {
            doing,
            sql,
            body: None,
            settings: &[],
            parameters: &[],
            query_id: None,
            in_database: true,
            timeout: QUERY_TIMEOUT,
        }
    }
}

/// What came back, whatever it says.
pub(crate) struct Answer {
    pub status: u16,
    pub exception: Option<u32>,
    pub written_rows: Option<u64>,
    pub body: Bytes,
}

impl Answer {
    pub fn is_clean(&self) -> bool {
        self.status == 200 && self.exception.is_none()
    }

    /// The server's words, short enough for a log line.
    pub fn message(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        match text.char_indices().nth(1000) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None if text.is_empty() => format!("HTTP status {}", self.status),
            None => text.to_owned(),
        }
    }
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The request was never sent.
    NotSent(String),
    /// It may have been executed.
    Lost(String),
    /// It was answered with more than an answer may hold.
    TooLarge,
}

impl NoAnswer {
    pub fn reason(self) -> String {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) => reason,
            Self::TooLarge => format!("an answer of more than {ANSWER_LIMIT} bytes"),
        }
    }
}

impl Warehouse {
    /// A client for this configuration; nothing is sent yet.
    pub fn connect(config: &ClickHouseConfig) -> Result<Self, WarehouseError> {
        let wrong = |key, reason: String| WarehouseError::Config { key, reason };
        let url = Url::parse(&config.url).map_err(|error| {
            wrong(
                "url",
                format!("{:?} is not an address ({error}); expected such as http://127.0.0.1:8123", config.url),
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url", "expected http:// or https:// and no user in it; the user is `username`".into()));
        }
        let name = &config.database;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || !plain {
            return Err(wrong("database", format!("{name:?} may hold letters, digits and underscores only")));
        }
        outcry_runtime::install_crypto_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| wrong("url", format!("no HTTP client can be made: {}", chain(&error))))?;
        let (username, password) = (config.username.clone(), config.password.clone());
        Ok(Self { inner: Arc::new(Inner { http, url, database: name.clone(), username, password }) })
    }

    /// The database that views and tables are in.
    pub fn database(&self) -> &str {
        &self.inner.database
    }

    /// The server's version; proves address, user and password.
    pub async fn ping(&self) -> Result<String, WarehouseError> {
        let request = Request {
            in_database: false,
            ..Request::new("asking for the version", "SELECT version() FORMAT TabSeparated")
        };
        let answer = self.execute(request).await?;
        Ok(String::from_utf8_lossy(&answer.body).trim().to_owned())
    }

    /// Runs one SELECT; `{name:Type}` in it stands for the parameter of that name.
    pub async fn query(&self, sql: &str, parameters: &[(&str, String)]) -> Result<Table, WarehouseError> {
        self.select("running a query", sql, parameters).await
    }

    pub(crate) async fn select(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[(&str, String)],
    ) -> Result<Table, WarehouseError> {
        self.table_of(Request { parameters, ..Request::new(doing, sql) }).await
    }

    pub(crate) async fn table_of(&self, request: Request<'_>) -> Result<Table, WarehouseError> {
        let doing = request.doing;
        let answer = self.execute(request).await?;
        table::from_json_compact(&answer.body).map_err(|Unreadable(reason)| WarehouseError::Unreadable {
            doing,
            database: self.database().into(),
            reason,
        })
    }

    /// Sends a statement that is expected to succeed.
    pub(crate) async fn execute(&self, request: Request<'_>) -> Result<Answer, WarehouseError> {
        let doing = request.doing;
        let answer = self.send(request).await.map_err(|lost| match lost {
            NoAnswer::TooLarge => {
                WarehouseError::TooLarge { doing, database: self.database().into(), limit: ANSWER_LIMIT }
            }
            lost => WarehouseError::Unreachable {
                doing,
                database: self.database().into(),
                url: self.inner.url.to_string(),
                reason: lost.reason(),
            },
        })?;
        if answer.is_clean() {
            return Ok(answer);
        }
        let code = answer.exception.unwrap_or(0);
        let message = answer.message();
        Err(WarehouseError::Refused { doing, database: self.database().into(), code, message, advice: advice(code) })
    }

    /// [`Warehouse::send`]; why there is no answer names the server, for whoever shows it to a person.
    pub(crate) async fn send_named(&self, request: Request<'_>) -> Result<Answer, NoAnswer> {
        let named = |reason: String| format!("{reason}; is ClickHouse running at {}?", self.inner.url);
        self.send(request).await.map_err(|none| match none {
            NoAnswer::NotSent(reason) => NoAnswer::NotSent(named(reason)),
            NoAnswer::Lost(reason) => NoAnswer::Lost(named(reason)),
            NoAnswer::TooLarge => NoAnswer::TooLarge,
        })
    }

    /// Sends a statement; an exception of the server is an answer too.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, NoAnswer> {
        let inner = &self.inner;
        let mut url = inner.url.clone();
        {
            let mut pairs = url.query_pairs_mut();
            // The answer waits for the end, so that its headers can be believed.
            pairs.append_pair("wait_end_of_query", "1");
            if request.in_database {
                pairs.append_pair("database", &inner.database);
            }
            if let Some(query_id) = request.query_id {
                pairs.append_pair("query_id", query_id);
            }
            for (name, value) in request.settings {
                pairs.append_pair(name, value);
            }
            for (name, value) in request.parameters {
                pairs.append_pair(&format!("param_{name}"), &escape_parameter(value));
            }
            if request.body.is_some() {
                pairs.append_pair("query", request.sql);
            }
        }
        let body = request.body.unwrap_or_else(|| Bytes::copy_from_slice(request.sql.as_bytes()));
        let sent = inner
            .http
            .post(url)
            .header("X-ClickHouse-User", &inner.username)
            .header("X-ClickHouse-Key", inner.password.expose())
            .header("X-ClickHouse-Format", "JSONCompact")
            .timeout(request.timeout)
            .body(body)
            .send()
            .await;
        let mut response = sent.map_err(|error| {
            let reason = chain(&error);
            if error.is_connect() || error.is_builder() { NoAnswer::NotSent(reason) } else { NoAnswer::Lost(reason) }
        })?;
        let status = response.status().as_u16();
        let exception = header(response.headers(), "x-clickhouse-exception-code").and_then(|code| code.parse().ok());
        let written_rows = header(response.headers(), "x-clickhouse-summary").and_then(written_rows);
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_LIMIT => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(NoAnswer::TooLarge),
                Ok(None) => break,
                Err(error) => return Err(NoAnswer::Lost(chain(&error))),
            }
        }
        Ok(Answer { status, exception, written_rows, body: body.freeze() })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `{"read_rows":"10","written_rows":"10",…}`: numbers as text.
fn written_rows(summary: &str) -> Option<u64> {
    let summary: serde_json::Value = serde_json::from_str(summary).ok()?;
    summary.get("written_rows")?.as_str()?.parse().ok()
}

/// Parameters are read as tab-separated values are, with their escapes.
fn escape_parameter(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r").replace('\0', "\\0")
}

/// reqwest's own text stops at "error sending request"; the cause stands in its sources. Addresses stay out of it: they
/// hold the statement.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { "no answer".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_written_are_read_from_the_summary() {
        assert_eq!(written_rows(r#"{"read_rows":"11","written_rows":"10","elapsed_ns":"1"}"#), Some(10));
        assert_eq!(written_rows("{}"), None);
    }

    #[test]
    fn a_wrong_address_or_name_is_told_before_anything_is_sent() {
        let with = |url: &str, database: &str| {
            let config = ClickHouseConfig { url: url.into(), database: database.into(), ..ClickHouseConfig::default() };
            Warehouse::connect(&config).unwrap_err().to_string()
        };
        assert!(with("127.0.0.1:8123", "outcry").contains("[clickhouse] url"));
        assert!(with("http://me:secret@127.0.0.1:8123", "outcry").contains("username"));
        assert!(with("http://127.0.0.1:8123", "a`; DROP").contains("[clickhouse] database"));
    }

    #[test]
    fn parameters_keep_their_backslashes() {
        assert_eq!(escape_parameter("a\\b\tc\n"), "a\\\\b\\tc\\n");
    }
}

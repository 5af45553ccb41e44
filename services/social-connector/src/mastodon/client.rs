//! HTTP to one server: bearer token, time-outs, bounded bodies, and the server's allowance honoured.
//!
//! Allowance (`api/rate-limits.md`): 300 requests in 5 minutes; `X-RateLimit-Remaining`, and `X-RateLimit-Reset` as a
//! time. When nothing remains, or after a 429, nothing is asked before the reset.

use super::api::{Account, Identified, Status};
use crate::{
    error::{FetchError, PassError},
    metrics,
};
use outcry_domain::Timestamp;
use outcry_runtime::{Backoff, Context, Secret};
use reqwest::{Response, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::time::Duration;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A page of 80 statuses has well under 1 MB.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// An error is a line of JSON; a proxy's page is not read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Whatever the server claims: after this long we ask again.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// As they came, newest first.
    pub elements: Vec<Box<RawValue>>,
    /// Where the next page begins: the `min_id` of the link to what is newer.
    pub newest: Option<String>,
}

/// What asking for one status brought.
#[derive(Debug)]
pub enum Seen {
    /// It, and its bytes.
    Status(Box<Status>, Vec<u8>),
    /// Not there, or not for us to see: the API tells the two apart nowhere. The API itself said so, not a proxy.
    Gone,
    /// Something that is not what the API documents.
    Unreadable,
}

/// `entities/Error.md`: what the API says when it has not what was asked for.
#[derive(Deserialize)]
struct ApiError {
    #[serde(rename = "error")]
    _error: String,
}

/// What a server answered: its body, and the `Link` header.
struct Answer {
    body: Vec<u8>,
    link: Option<String>,
}

/// One server, asked with one token.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Secret,
    source: String,
    context: Context,
    blocked_until: Option<Timestamp>,
}

impl Client {
    /// Nothing is asked yet.
    pub fn new(base_url: &str, token: Secret, source: String, context: Context) -> anyhow::Result<Self> {
        let base = Url::parse(&format!("{}/", base_url.trim_end_matches('/')))?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("outcry/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // A token must not follow to wherever an answer points.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, base, token, source, context, blocked_until: None })
    }

    /// The account that the token belongs to.
    pub async fn verify_credentials(&mut self) -> Result<Account, PassError> {
        let endpoint = "api/v1/accounts/verify_credentials";
        let answer = self.get(endpoint, &[]).await?;
        decode(endpoint, &answer.body).map_err(PassError::from)
    }

    /// The page of `endpoint` that follows `min_id`, oldest pages first: `since_id` would skip the middle
    /// (`api/guidelines.md`).
    pub async fn page(
        &mut self,
        endpoint: &str,
        query: &[(&str, &str)],
        min_id: &str,
        limit: u32,
    ) -> Result<Page, PassError> {
        let limit = limit.to_string();
        let query: Vec<_> = query.iter().copied().chain([("min_id", min_id), ("limit", &limit)]).collect();
        let answer = self.get(endpoint, &query).await?;
        let elements: Vec<Box<RawValue>> = decode(endpoint, &answer.body)?;
        let newest = answer.link.as_deref().and_then(newer_than).or_else(|| greatest_id(&elements));
        Ok(Page { elements, newest })
    }

    /// One status by its local id.
    pub async fn status(&mut self, id: &str) -> Result<Seen, PassError> {
        let endpoint = format!("api/v1/statuses/{}", path_segment(id));
        let answer = match self.get(&endpoint, &[]).await {
            Ok(answer) => answer,
            Err(PassError::Fetch(FetchError::NotThere { .. })) => return Ok(Seen::Gone),
            Err(PassError::Fetch(FetchError::TooLarge { .. })) => return Ok(Seen::Unreadable),
            Err(error) => return Err(error),
        };
        match decode::<Status>(&endpoint, &answer.body) {
            Ok(status) => Ok(Seen::Status(Box::new(status), answer.body)),
            Err(error) => {
                tracing::warn!(source.name = self.source, reason = error.metric_label(), "a status cannot be read");
                Ok(Seen::Unreadable)
            }
        }
    }

    async fn get(&mut self, endpoint: &str, query: &[(&str, &str)]) -> Result<Answer, PassError> {
        let mut backoff = Backoff::new(SHORTEST_WAIT, Duration::from_secs(60));
        loop {
            self.wait_for_allowance(&mut backoff).await?;
            let shutdown = self.context.shutdown.clone();
            let answered = tokio::select! {
                answered = self.ask(endpoint, query) => answered,
                () = shutdown.cancelled() => return Err(PassError::Stopping),
            };
            let outcome = answered.as_ref().map_or_else(FetchError::metric_label, |_| "ok");
            ::metrics::counter!(metrics::REQUESTS, "source" => self.source.clone(), "outcome" => outcome).increment(1);
            match answered {
                Err(error @ FetchError::RateLimited { .. }) => {
                    tracing::info!(source.name = self.source, %error, "waiting for the server's allowance");
                }
                other => return other.map_err(PassError::from),
            }
        }
    }

    async fn wait_for_allowance(&mut self, backoff: &mut Backoff) -> Result<(), PassError> {
        let Some(until) = self.blocked_until.take() else { return Ok(()) };
        let left = u64::try_from(until.millis_since(self.context.clock.now())).unwrap_or(0);
        // The server's clock may differ from ours: a reset in our past still means to wait, and longer each time.
        let wait = Duration::from_millis(left).max(backoff.next_delay()).min(LONGEST_WAIT);
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.context.shutdown.cancelled() => Err(PassError::Stopping),
        }
    }

    async fn ask(&mut self, endpoint: &str, query: &[(&str, &str)]) -> Result<Answer, FetchError> {
        let unreachable = |error: reqwest::Error| FetchError::Unreachable {
            endpoint: endpoint.to_owned(),
            // Without the address: it may hold ids of posts.
            reason: reason_chain(&error.without_url()),
        };
        let url = self
            .base
            .join(endpoint)
            .map_err(|error| FetchError::Unreachable { endpoint: endpoint.to_owned(), reason: error.to_string() })?;
        let request = self.http.get(url).query(query).bearer_auth(self.token.expose());
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        self.note_allowance(&response);
        let absent = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if !status.is_success() && !absent {
            return Err(self.refusal(endpoint, status));
        }
        let link = text_header(&response, header::LINK.as_str()).map(str::to_owned);
        let limit = if absent { MAX_ERROR_BYTES } else { MAX_BODY_BYTES };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > limit {
                if absent {
                    return Err(self.refusal(endpoint, status));
                }
                return Err(FetchError::TooLarge { endpoint: endpoint.to_owned(), limit });
            }
            body.extend_from_slice(&chunk);
        }
        match absent {
            false => Ok(Answer { body, link }),
            true if serde_json::from_slice::<ApiError>(&body).is_ok() => {
                Err(FetchError::NotThere { endpoint: endpoint.to_owned(), status: status.as_u16() })
            }
            true => Err(self.refusal(endpoint, status)),
        }
    }

    fn note_allowance(&mut self, response: &Response) {
        let nothing_remains = text_header(response, "x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
        if response.status() != StatusCode::TOO_MANY_REQUESTS && !nothing_remains {
            return;
        }
        let now = self.context.clock.now();
        let reset = text_header(response, "x-ratelimit-reset").and_then(|text| text.parse::<Timestamp>().ok());
        let retry_after = text_header(response, header::RETRY_AFTER.as_str())
            .and_then(|text| text.trim().parse().ok())
            .map(|seconds| now.plus(Duration::from_secs(seconds)));
        self.blocked_until = Some(reset.or(retry_after).unwrap_or(now));
    }

    fn refusal(&self, endpoint: &str, status: StatusCode) -> FetchError {
        let endpoint = endpoint.to_owned();
        match status.as_u16() {
            429 => FetchError::RateLimited {
                endpoint,
                until: self.blocked_until.unwrap_or_else(|| self.context.clock.now()),
            },
            status @ (401 | 403) => FetchError::Refused { endpoint, status },
            status @ 300..=499 if status != 408 => FetchError::WrongAddress { endpoint, status },
            status => FetchError::ServerTrouble { endpoint, status },
        }
    }
}

fn decode<T: DeserializeOwned>(endpoint: &str, body: &[u8]) -> Result<T, FetchError> {
    serde_json::from_slice(body).map_err(|error| FetchError::Undecodable {
        endpoint: endpoint.to_owned(),
        reason: error_without_payload(&error),
    })
}

/// What serde found, without quoting what it read: an "invalid type" error carries the value.
pub(super) fn error_without_payload(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            return match text.strip_prefix("missing field ") {
                Some(field) => format!("missing field {field}"),
                None => format!("a field of another type at line {} column {}", error.line(), error.column()),
            };
        }
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "cut off",
        serde_json::error::Category::Io => "not readable",
    };
    format!("{kind} at line {} column {}", error.line(), error.column())
}

fn reason_chain(error: &dyn std::error::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    reason
}

fn text_header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Ids come from the network: one with a slash or a query must not lead to another endpoint.
fn path_segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

/// `min_id` of the link with `rel="prev"`, which Mastodon calls the newer page.
fn newer_than(link: &str) -> Option<String> {
    let newer = link.split(',').find(|part| part.contains("rel=\"prev\""))?;
    let address = newer.split_once('<')?.1.split_once('>')?.0;
    let query = address.split_once('?')?.1;
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "min_id").map(|(_, id)| id.into_owned())
}

/// For servers that send no `Link`: ids are opaque, but on every server that pages by them a longer one is a later one.
fn greatest_id(elements: &[Box<RawValue>]) -> Option<String> {
    elements
        .iter()
        .filter_map(|element| serde_json::from_str::<Identified>(element.get()).ok())
        .map(|identified| identified.id)
        .max_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn the_link_to_what_is_newer_gives_the_next_min_id() {
        // Header as in mastodon/documentation `api/guidelines.md`, with another host.
        let link = "<https://a.example/api/v1/notifications?max_id=34975535&types[]=mention>; rel=\"next\", \
                    <https://a.example/api/v1/notifications?types%5B%5D=mention&min_id=34975861>; rel=\"prev\"";
        assert_eq!(newer_than(link).as_deref(), Some("34975861"));
        assert_eq!(newer_than("<https://a.example/?max_id=1>; rel=\"next\""), None);
        assert_eq!(newer_than("rel=\"prev\""), None);
    }

    #[test]
    fn without_a_link_the_greatest_id_is_next() {
        let elements: Vec<Box<RawValue>> =
            serde_json::from_str(r#"[{"id":"99"},{"id":"100"},{"id":7},{"other":1}]"#).unwrap();
        assert_eq!(greatest_id(&elements).as_deref(), Some("100"));
    }

    /// What asking for a status brings when the server answers this, to every request.
    async fn status_when_answered(answer: &'static str) -> Result<Seen, PassError> {
        outcry_runtime::install_crypto_provider();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let mut client = Client::new(&base, Secret::from("t"), "social:test".into(), Context::for_tests()).unwrap();
        client.status("1").await
    }

    #[tokio::test]
    async fn gone_is_what_the_api_says_is_gone_and_not_what_a_proxy_says() {
        for answer in [
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"error\":\"Record not found\"}",
            "HTTP/1.1 410 Gone\r\nconnection: close\r\n\r\n{\"error\":\"Gone\",\"error_description\":\"x\"}",
        ] {
            assert!(matches!(status_when_answered(answer).await, Ok(Seen::Gone)), "{answer}");
        }
        for answer in [
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n<html>nginx</html>",
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"message\":\"no Route matched\"}",
            "HTTP/1.1 410 Gone\r\nconnection: close\r\n\r\n\"gone\"",
        ] {
            let error = status_when_answered(answer).await.unwrap_err();
            assert!(matches!(error, PassError::Fetch(FetchError::WrongAddress { .. })), "{answer}: {error}");
        }
    }

    #[test]
    fn an_id_cannot_lead_to_another_endpoint() {
        assert_eq!(path_segment("1/../../accounts?x=1#y"), "1%2F..%2F..%2Faccounts%3Fx%3D1%23y");
    }

    #[test]
    fn an_error_does_not_quote_the_payload() {
        let error = serde_json::from_str::<Status>(r#"{"id":{"secret words":1}}"#).unwrap_err();
        assert!(!error_without_payload(&error).contains("secret"), "{}", error_without_payload(&error));
        let error = serde_json::from_str::<Status>(r#"{"id":"1"}"#).unwrap_err();
        assert!(error_without_payload(&error).contains("missing field `uri`"));
        let error = serde_json::from_str::<Identified>(r#"{"id":"secret\ud800"}"#).unwrap_err();
        assert!(!error_without_payload(&error).contains("secret"));
    }
}

//! The answers of the front door: few, and each means one thing to the sender's retry logic.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::Full;

/// Seconds after which a sender may try again when the spool is full.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("30");

/// An answer. There is no 429: a phone provider takes it for good and never tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Durable. The body is what the provider wants to see.
    Accepted {
        /// Media type of the body.
        media_type: &'static str,
        /// The body.
        body: Bytes,
    },
    /// Authentic, but it cannot be used; it is in dead letters, with this reason.
    Invalid(String),
    /// Not believed. One answer for every reason.
    Unauthorized,
    /// No such account.
    NotFound,
    /// The account does not take this method.
    MethodNotAllowed {
        /// The methods that it takes.
        allow: &'static str,
    },
    /// Not all of it came in time.
    Timeout,
    /// Larger than any webhook is.
    TooLarge,
    /// Encoded in a way that is not read, such as gzip: a bomb fits in a few bytes.
    UnsupportedEncoding,
    /// Nothing can be stored: Kafka does not answer and the spool is full. Try again later.
    Full,
}

impl Reply {
    /// Durable, with an empty JSON object: what most providers expect, and what none minds.
    pub fn accepted() -> Self {
        Self::Accepted { media_type: "application/json", body: Bytes::from_static(b"{}") }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Accepted { .. } => StatusCode::OK,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let status = self.status();
        let (media_type, body) = match &self {
            Self::Accepted { media_type, body } => (*media_type, body.clone()),
            Self::Invalid(reason) => ("application/json", error(reason)),
            Self::Unauthorized => ("application/json", error("not authorized")),
            Self::NotFound => ("application/json", error("no such account")),
            Self::MethodNotAllowed { .. } => ("application/json", error("method not allowed")),
            Self::Timeout => ("application/json", error("the request did not arrive in time")),
            Self::TooLarge => ("application/json", error("the body is too large")),
            Self::UnsupportedEncoding => ("application/json", error("send the body without content-encoding")),
            Self::Full => ("application/json", error("cannot store it now; try again later")),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        match self {
            Self::MethodNotAllowed { allow } => drop(headers.insert(ALLOW, HeaderValue::from_static(allow))),
            Self::Full => drop(headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS)),
            _ => {}
        }
        response
    }
}

fn error(text: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "error": text }).to_string())
}

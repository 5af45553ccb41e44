//! What the API answers when it cannot do what was asked.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use outcry_warehouse::WarehouseError;
use serde_json::json;

/// Why an answer is not what was asked for.
pub(crate) struct Failure {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// In words, for the caller.
    pub(crate) reason: String,
}

impl Failure {
    /// Worth asking again.
    pub(crate) fn unavailable(reason: &str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason: reason.to_owned() }
    }
}

impl From<WarehouseError> for Failure {
    fn from(error: WarehouseError) -> Self {
        tracing::warn!(%error, "a report failed");
        let status = if error.is_unavailable() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
        Self { status, reason: error.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.reason}))).into_response()
    }
}

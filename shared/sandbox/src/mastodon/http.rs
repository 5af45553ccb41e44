//! The HTTP side: token, rate limit, injected failures, routes, and paging.
//!
//! Paging (`api/guidelines.md`): `max_id` goes back from an id, `since_id` gives the newest page after an id (and so
//! may leave a gap), `min_id` the *oldest* page after an id. All answer newest first. `Link: rel="next"` continues
//! backward with `max_id` of the oldest shown, `rel="prev"` forward with `min_id` of the newest.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::store::{Status, Store};
use super::{json, lock};

type Shared = State<Arc<Mutex<Store>>>;

const WINDOW: Duration = Duration::from_secs(300);

pub(super) fn router(store: Arc<Mutex<Store>>) -> Router {
    let api = Router::new()
        .route("/api/v1/accounts/verify_credentials", get(verify_credentials))
        .route("/api/v1/notifications", get(notifications))
        .route("/api/v1/accounts/{id}/statuses", get(account_statuses))
        .route("/api/v1/statuses/{id}", get(one_status))
        .route("/api/v1/statuses/{id}/history", get(history))
        .layer(from_fn_with_state(Arc::clone(&store), authorised))
        // Needs no token, as on the real server.
        .route("/api/v2/instance", get(instance));
    api.layer(from_fn_with_state(Arc::clone(&store), limited)).with_state(store)
}

/// Rate limit headers on every answer; failures as injected.
async fn limited(State(store): Shared, request: Request, next: Next) -> Response {
    let (limit, remaining, reset, failure) = {
        let mut store = lock(&store);
        store.requests += 1;
        if store.window.0.elapsed() >= WINDOW {
            store.window = (Instant::now(), 0);
        }
        store.window.1 = store.window.1.saturating_add(1);
        let (limit, used) = (store.options.rate_limit, store.window.1);
        let exceeded = (used > limit).then_some(429);
        let failure = store.failures.pop_front().or(exceeded);
        (limit, limit.saturating_sub(used), WINDOW.saturating_sub(store.window.0.elapsed()), failure)
    };
    let mut response = match failure {
        Some(429) => error(StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Some(code) => error(
            StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            "An unexpected error occurred",
        ),
        None => next.run(request).await,
    };
    // A time, not seconds (api/rate-limits.md).
    let reset_at = jiff::Timestamp::now() + reset;
    let values = [
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", if failure == Some(429) { 0 } else { remaining }.to_string()),
        ("x-ratelimit-reset", reset_at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn authorised(State(store): Shared, request: Request, next: Next) -> Response {
    let expected = format!("Bearer {}", lock(&store).options.token);
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given == Some(expected.as_str()) {
        true => next.run(request).await,
        false => error(StatusCode::UNAUTHORIZED, "The access token is invalid"),
    }
}

async fn verify_credentials(State(store): Shared) -> Json<Value> {
    let store = lock(&store);
    Json(json::account(&store, &store.options.username))
}

async fn instance(State(store): Shared) -> Json<Value> {
    Json(json::instance(&lock(&store)))
}

async fn notifications(State(store): Shared, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref());
    let store = lock(&store);
    let wanted = query.all("types[]");
    let unwanted = query.all("exclude_types[]");
    let mentions = (wanted.is_empty() || wanted.contains(&"mention")) && !unwanted.contains(&"mention");
    let ids: Vec<u64> = if mentions { store.notifications.keys().copied().collect() } else { Vec::new() };
    let page = page(&ids, &query, 40);
    let shown = page.iter().filter_map(|id| {
        let about = store.statuses.get(store.notifications.get(id)?)?;
        Some(json::notification(&store, *id, about))
    });
    let body = shown.collect();
    paged(&store.base_url, "/api/v1/notifications", &query, &page, body)
}

async fn account_statuses(State(store): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref());
    let store = lock(&store);
    let hidden = |status: &Status| {
        (query.flag("exclude_reblogs") && status.boost_of.is_some())
            || (query.flag("exclude_replies") && status.in_reply_to.is_some())
    };
    let own = store.statuses.values().filter(|status| json::account_id(&status.author) == id && !hidden(status));
    let ids: Vec<u64> = own.map(|status| status.id).collect();
    let page = page(&ids, &query, 20);
    let body = page.iter().filter_map(|id| store.statuses.get(id)).map(|status| json::status(&store, status)).collect();
    paged(&store.base_url, &format!("/api/v1/accounts/{id}/statuses"), &query, &page, body)
}

async fn one_status(State(store): Shared, Path(id): Path<String>) -> Response {
    let store = lock(&store);
    match store.find(&id) {
        Some(status) => Json(json::status(&store, status)).into_response(),
        None => error(StatusCode::NOT_FOUND, "Record not found"),
    }
}

async fn history(State(store): Shared, Path(id): Path<String>) -> Response {
    let store = lock(&store);
    match store.find(&id) {
        Some(status) => Json(json::history(&store, status)).into_response(),
        None => error(StatusCode::NOT_FOUND, "Record not found"),
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// The ids of one page, newest first; `ids` ascend.
fn page(ids: &[u64], query: &Query, default_limit: usize) -> Vec<u64> {
    let limit = query.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default_limit);
    // 80 for notifications, 40 for statuses: twice the default in both (methods/*.md).
    let limit = limit.clamp(1, default_limit * 2);
    let below = query.number("max_id").unwrap_or(u64::MAX);
    let (min_id, since_id) = (query.number("min_id"), query.number("since_id"));
    let above = min_id.or(since_id).unwrap_or(0);
    let between = ids.iter().copied().filter(|id| *id > above && *id < below);
    if min_id.is_some() {
        let mut oldest: Vec<u64> = between.take(limit).collect();
        oldest.reverse();
        return oldest;
    }
    between.rev().take(limit).collect()
}

fn paged(base_url: &str, path: &str, query: &Query, page: &[u64], body: Vec<Value>) -> Response {
    let mut response = Response::new(Body::from(Value::Array(body).to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let (Some(newest), Some(oldest)) = (page.first(), page.last()) {
        let link = |rel: &str, key: &str, id: u64| {
            let kept = query.0.iter().filter(|(name, _)| !matches!(name.as_str(), "max_id" | "min_id" | "since_id"));
            let mut target = form_urlencoded::Serializer::new(String::new());
            target.extend_pairs(kept).append_pair(key, &id.to_string());
            format!("<{base_url}{path}?{}>; rel=\"{rel}\"", target.finish())
        };
        let links = format!("{}, {}", link("next", "max_id", *oldest), link("prev", "min_id", *newest));
        if let Ok(value) = HeaderValue::from_str(&links) {
            response.headers_mut().insert(header::LINK, value);
        }
    }
    response
}

/// The query string: repeated names matter here (`types[]=mention&types[]=status`).
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.all(name).first()?.parse().ok()
    }

    fn flag(&self, name: &str) -> bool {
        self.all(name).first().is_some_and(|value| matches!(*value, "true" | "1"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, page};

    fn pick(query: &str) -> Vec<u64> {
        page(&(1..=10).collect::<Vec<_>>(), &Query::parse(Some(query)), 2)
    }

    #[test]
    fn min_id_gives_the_oldest_page_after_it_newest_first() {
        assert_eq!(pick("min_id=3"), [5, 4]);
        assert_eq!(pick("min_id=0&limit=3"), [3, 2, 1]);
        assert_eq!(pick("min_id=10"), [0_u64; 0]);
    }

    #[test]
    fn since_id_gives_the_newest_page_and_max_id_goes_back() {
        assert_eq!(pick("since_id=3"), [10, 9]);
        assert_eq!(pick("max_id=9"), [8, 7]);
        assert_eq!(pick("max_id=3&since_id=1"), [2]);
    }

    #[test]
    fn a_page_is_at_most_twice_the_default() {
        assert_eq!(pick("limit=100").len(), 4);
        assert_eq!(pick("limit=0").len(), 1);
    }
}

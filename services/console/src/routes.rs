//! Addresses, and what answers there.

use crate::{
    auth::{Access, Gate},
    case_event,
    config::{Authentication, Config},
    error::Failure,
    feed::{Entry, Feed},
    metrics, pages,
    query::ReportQuery,
};
use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{
        IntoResponse, Redirect, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::{Stream, StreamExt as _};
use outcry_kafka::{Publisher, Topic};
use outcry_runtime::Context;
use outcry_warehouse::{ReportParams, Table, Warehouse, reports};
use serde::Deserialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

const MAX_BODY_BYTES: usize = 64 * 1024;
const REPORT_TIMEOUT: Duration = Duration::from_secs(20);
/// After this long without the broker's acknowledgement the caller is told to post again.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_WATCHERS: usize = 64;
const MAX_REPORTS_AT_ONCE: usize = 4;
const MAX_LOGINS_AT_ONCE: usize = 8;
/// Guessing is slow.
const WRONG_TOKEN_DELAY: Duration = Duration::from_millis(500);
/// Reports that the page shows.
const PAGE_REPORTS: &[&str] = &["response-times", "volume"];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What the handlers share.
pub struct App {
    gate: Gate,
    can_log_in: bool,
    brands: Vec<String>,
    warehouse: Warehouse,
    publisher: Publisher,
    feed: Feed,
    context: Context,
    watchers: Arc<Semaphore>,
    reports: Semaphore,
    logins: Semaphore,
}

impl App {
    /// Puts it together; connects to nothing.
    pub fn new(config: &Config, warehouse: Warehouse, publisher: Publisher, feed: Feed, context: &Context) -> Self {
        Self {
            gate: Gate::new(&config.console),
            can_log_in: config.console.authentication == Authentication::Token,
            brands: config.brands.iter().map(|brand| brand.id.clone()).collect(),
            warehouse,
            publisher,
            feed,
            context: context.clone(),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            reports: Semaphore::new(MAX_REPORTS_AT_ONCE),
            logins: Semaphore::new(MAX_LOGINS_AT_ONCE),
        }
    }

    fn access(&self, headers: &HeaderMap) -> Access {
        self.gate.access(headers, self.context.clock.now())
    }

    /// The answer to whoever may not read.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        if self.access(headers) != Access::None {
            return None;
        }
        ::metrics::counter!(metrics::REFUSED).increment(1);
        Some(unauthorized("give the token as Authorization: Bearer …"))
    }

    async fn report(&self, name: &str, parameters: &ReportParams) -> Result<Table, Failure> {
        let work = async {
            let _permit = self.reports.acquire().await.map_err(|_| Failure::unavailable("stopping"))?;
            self.warehouse.report(name, parameters).await.map_err(Failure::from)
        };
        match tokio::time::timeout(REPORT_TIMEOUT, work).await {
            Ok(result) => result,
            Err(_) => Err(Failure::unavailable("the report took too long; ask for a shorter time")),
        }
    }
}

/// All addresses.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/feed", get(watch_feed))
        .route("/assets/console.css", get(|| async { asset("text/css", include_str!("../assets/console.css")) }))
        .route("/assets/console.js", get(|| async { asset("text/javascript", include_str!("../assets/console.js")) }))
        .route("/api/feed", get(latest_items))
        .route("/api/reports", get(list_reports))
        .route("/api/reports/{name}", get(run_report))
        .route("/api/case-events", post(post_case_event))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(harden))
        .with_state(app)
}

/// Headers that every answer carries.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    ::metrics::counter!(metrics::REQUESTS, "status" => response.status().as_u16().to_string()).increment(1);
    let headers = response.headers_mut();
    let set = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    set(headers, header::CACHE_CONTROL, "no-store");
    response
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache".to_owned())], content).into_response()
}

fn unauthorized(words: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], Json(json!({"error": words}))).into_response()
}

async fn overview(State(app): State<Arc<App>>, headers: HeaderMap, Query(query): Query<ReportQuery>) -> Response {
    if app.access(&headers) == Access::None {
        return Redirect::to("/login").into_response();
    }
    let parameters = query.parameters();
    let sections = PAGE_REPORTS.iter().filter_map(|name| reports::list().iter().find(|report| report.name == *name));
    let sections = futures::future::join_all(sections.map(|report| {
        let (app, parameters) = (&app, &parameters);
        async move {
            let result = match parameters {
                Ok(parameters) => app.report(report.name, parameters).await.map_err(|failure| failure.reason),
                Err(problem) => Err(problem.clone()),
            };
            pages::Section { title: report.title.into(), description: report.description.into(), result }
        }
    }));
    let sections = sections.await;
    pages::overview(&app.brands, &query.filter(), &app.feed.latest(), &sections, app.can_log_in).into_response()
}

async fn login_page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match app.access(&headers) {
        Access::None if app.can_log_in => pages::login(false).into_response(),
        Access::None => {
            let words = "This console answers on this machine only: open it as localhost or 127.0.0.1.";
            (StatusCode::FORBIDDEN, pages::message("Not here", words)).into_response()
        }
        _ => Redirect::to("/").into_response(),
    }
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(State(app): State<Arc<App>>, Form(form): Form<Login>) -> Response {
    let Ok(_permit) = app.logins.try_acquire() else {
        let busy = pages::message("Busy", "Too many are logging in. Try again in a moment.");
        return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
    };
    if !app.can_log_in || !app.gate.is_token(form.token.trim()) {
        ::metrics::counter!(metrics::REFUSED).increment(1);
        tokio::time::sleep(WRONG_TOKEN_DELAY).await;
        return (StatusCode::UNAUTHORIZED, pages::login(true)).into_response();
    }
    let cookie = app.gate.session_cookie(app.context.clock.now());
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

async fn logout(State(app): State<Arc<App>>) -> Response {
    ([(header::SET_COOKIE, app.gate.end_cookie())], Redirect::to("/login")).into_response()
}

async fn latest_items(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.refusal(&headers).unwrap_or_else(|| Json(app.feed.latest()).into_response())
}

async fn watch_feed(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = app.refusal(&headers) {
        return refusal;
    }
    let Ok(permit) = app.watchers.clone().try_acquire_owned() else {
        return Failure::unavailable("too many watch the feed; reload the page later").into_response();
    };
    let shutdown = app.context.shutdown.clone();
    let events = events(app.feed.watch(), permit).take_until(async move { shutdown.cancelled().await });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn events(
    news: broadcast::Receiver<Arc<Entry>>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let watching = Watching::new(permit);
    futures::stream::unfold((news, watching), |(mut news, watching)| async move {
        loop {
            match news.recv().await {
                Ok(entry) => {
                    let event = Event::default().event("item").json_data(&*entry).unwrap_or_default();
                    return Some((Ok(event), (news, watching)));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

/// Counts a watcher for as long as it watches.
struct Watching {
    _permit: OwnedSemaphorePermit,
}

impl Watching {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        ::metrics::gauge!(metrics::WATCHERS).increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::WATCHERS).decrement(1.0);
    }
}

async fn list_reports(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = app.refusal(&headers) {
        return refusal;
    }
    let listed: Vec<_> = reports::list()
        .iter()
        .map(|report| {
            let columns: Vec<_> = report
                .columns
                .iter()
                .map(|column| json!({"name": column.name, "unit": column.unit, "meaning": column.meaning}))
                .collect();
            json!({"name": report.name, "title": report.title, "description": report.description, "columns": columns})
        })
        .collect();
    Json(json!({"reports": listed})).into_response()
}

async fn run_report(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
    Query(query): Query<ReportQuery>,
) -> Response {
    if let Some(refusal) = app.refusal(&headers) {
        return refusal;
    }
    if !reports::list().iter().any(|report| report.name == name) {
        let names: Vec<_> = reports::list().iter().map(|report| report.name).collect();
        let reason = format!("no such report; there are {}", names.join(", "));
        return Failure { status: StatusCode::NOT_FOUND, reason }.into_response();
    }
    match query.parameters() {
        Ok(parameters) => match app.report(&name, &parameters).await {
            Ok(table) => Json(table.to_json()).into_response(),
            Err(failure) => failure.into_response(),
        },
        Err(reason) => Failure { status: StatusCode::BAD_REQUEST, reason }.into_response(),
    }
}

async fn post_case_event(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    if app.access(&headers) != Access::Full {
        ::metrics::counter!(metrics::REFUSED).increment(1);
        return unauthorized("posting needs the token as Authorization: Bearer …");
    }
    let key = match headers.get("idempotency-key").map(HeaderValue::to_str) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => Some(""),
    };
    let is_brand = |id: &str| app.brands.iter().any(|brand| brand == id);
    let event = match case_event::read(&body, key, is_brand, app.context.clock.now()) {
        Ok(event) => event,
        Err(problems) => return (StatusCode::BAD_REQUEST, Json(json!({"errors": problems}))).into_response(),
    };
    let (case, action) = (event.case_id.to_string(), event.action.as_str());
    let publishing = app.publisher.publish_json(Topic::CaseEvents, &case, &event);
    match tokio::time::timeout(PUBLISH_TIMEOUT, publishing).await {
        Ok(Ok(_)) => {
            ::metrics::counter!(metrics::CASE_EVENTS, "action" => action).increment(1);
            (StatusCode::CREATED, Json(json!({"event_id": event.event_id, "case_id": event.case_id}))).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a case event cannot be published");
            Failure { status: StatusCode::INTERNAL_SERVER_ERROR, reason: "the event cannot be published".into() }
                .into_response()
        }
        Err(_) => {
            // It may still arrive; posted again it has the same id.
            let failure = Failure::unavailable("the broker did not acknowledge the event in time; post it again");
            ([(header::RETRY_AFTER, "10")], failure).into_response()
        }
    }
}

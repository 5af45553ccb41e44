//! The console as a browser and a CRM meet it, in process: nothing behind it answers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use outcry_console::{App, Config, feed::Feed, router};
use outcry_kafka::Publisher;
use outcry_runtime::Context;
use outcry_warehouse::Warehouse;
use std::sync::Arc;
use tower::ServiceExt as _;

const TOKEN: &str = "a token for tests only";

fn console(settings: &str) -> Router {
    outcry_runtime::install_crypto_provider();
    let config: Config = toml::from_str(&format!(
        "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n\
         [clickhouse]\nurl = \"http://127.0.0.1:1\"\ndatabase = \"outcry\"\nusername = \"a\"\npassword = \"\"\n\
         [[brands]]\nid = \"acme\"\nname = \"Acme\"\n[console]\n{settings}"
    ))
    .unwrap();
    let publisher = Publisher::new(&config.kafka, "test").unwrap();
    let warehouse = Warehouse::connect(&config.clickhouse).unwrap();
    router(Arc::new(App::new(&config, warehouse, publisher, Feed::default(), &Context::for_tests())))
}

fn with_token() -> Router {
    console(&format!("token = \"{TOKEN}\""))
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

async fn ask(console: Router, request: Request<Body>) -> Answer {
    let response = console.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn get(path: &str) -> axum::http::request::Builder {
    Request::get(path).header(header::HOST, "127.0.0.1")
}

fn empty(builder: axum::http::request::Builder) -> Request<Body> {
    builder.body(Body::empty()).unwrap()
}

fn bearer(builder: axum::http::request::Builder) -> axum::http::request::Builder {
    builder.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

#[tokio::test]
async fn without_the_token_nothing_is_shown() {
    for path in ["/api/feed", "/api/reports", "/api/reports/volume", "/feed"] {
        let answer = ask(with_token(), empty(get(path))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let page = ask(with_token(), empty(get("/"))).await;
    assert_eq!((page.status, &page.headers[header::LOCATION]), (StatusCode::SEE_OTHER, &"/login".parse().unwrap()));
    assert_eq!(ask(with_token(), empty(bearer(get("/api/feed")))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_login_opens_the_page_and_not_posting() {
    let login = |token: &str| {
        Request::post("/login")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("token={}", token.replace(' ', "+"))))
            .unwrap()
    };
    let wrong = ask(with_token(), login("guess")).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers.contains_key(header::SET_COOKIE));
    let right = ask(with_token(), login(TOKEN)).await;
    let cookie = right.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = ask(with_token(), empty(get("/").header(header::COOKIE, &cookie))).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Latest items") && page.body.contains("problem"), "says that reports do not answer");
    let post = Request::post("/api/case-events").header(header::COOKIE, &cookie).body(Body::from("{}")).unwrap();
    assert_eq!(ask(with_token(), post).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_ours() {
    for path in ["/", "/login", "/api/feed", "/assets/console.js", "/nowhere"] {
        let answer = ask(with_token(), empty(get(path))).await;
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn local_mode_opens_reading_on_this_machine_and_never_posting() {
    let local = || console("authentication = \"local\"");
    assert_eq!(ask(local(), empty(get("/api/feed"))).await.status, StatusCode::OK);
    let rebound = Request::get("/api/feed").header(header::HOST, "rebound.example");
    assert_eq!(ask(local(), empty(rebound)).await.status, StatusCode::UNAUTHORIZED);
    let post = Request::post("/api/case-events").header(header::HOST, "127.0.0.1").body(Body::from("{}")).unwrap();
    assert_eq!(ask(local(), post).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_wrong_is_said_field_by_field() {
    let post = |body: &str| bearer(Request::post("/api/case-events")).body(Body::from(body.to_owned())).unwrap();
    let answer = ask(with_token(), post(r#"{"brand":"other","case_id":"x"}"#)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for field in ["case_id", "brand", "occurred_at", "action"] {
        assert!(answer.body.contains(&format!("\"field\":\"{field}\"")), "{field}: {}", answer.body);
    }
    let large = ask(with_token(), post(&"x".repeat(70_000))).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_report_that_does_not_exist_names_those_that_do() {
    let answer = ask(with_token(), empty(bearer(get("/api/reports/none")))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("response-times") && answer.body.contains("volume"), "{}", answer.body);
    let answer = ask(with_token(), empty(bearer(get("/api/reports/volume?from=yesterday")))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = ask(with_token(), empty(bearer(get("/api/reports/volume")))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
}

//! The front door over real sockets: what each kind of bad sender gets, and that honest ones do not suffer for it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use bytes::Bytes;
use http::Method;
use outcry_runtime::Context;
use outcry_webhook::{Door, Limits, Reply, Server, Webhook};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// Knows `/hooks/main`; believes a body that begins with `good`.
struct Example;

impl Door for Example {
    fn admit(&self, method: &Method, path: &str) -> Result<(), Reply> {
        match path {
            "/hooks/main" if method == Method::POST => Ok(()),
            "/hooks/main" => Err(Reply::MethodNotAllowed { allow: "POST" }),
            _ => Err(Reply::NotFound),
        }
    }

    async fn receive(&self, webhook: Webhook) -> Reply {
        match &*webhook.body {
            body if body.starts_with(b"slow") => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Reply::accepted()
            }
            body if body.starts_with(b"good") => {
                Reply::Accepted { media_type: "text/plain", body: Bytes::from(webhook.body.len().to_string()) }
            }
            // More than the buffers of both ends hold.
            b"flood" => Reply::Accepted { media_type: "text/plain", body: Bytes::from(vec![b'x'; 32 << 20]) },
            b"full" => Reply::Full,
            b"bad" => Reply::Invalid("no call_id".into()),
            _ => Reply::Unauthorized,
        }
    }
}

async fn open(limits: Limits) -> (SocketAddr, Context, tokio::task::JoinHandle<()>) {
    let context = Context::for_tests();
    let server = Server::bind("127.0.0.1:0", limits).await.unwrap();
    let (address, serving) = (server.address(), context.clone());
    let task = tokio::spawn(async move { server.run(Arc::new(Example), &serving).await });
    (address, context, task)
}

fn quick() -> Limits {
    Limits {
        header_deadline: Duration::from_millis(300),
        body_deadline: Duration::from_millis(300),
        write_deadline: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// Sends bytes and reads until the server closes, with its `date` removed.
async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes with unread bytes resets the connection; what it said before is what counts.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("an answer");
    let answer = String::from_utf8(answer).unwrap();
    answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
}

fn post(path: &str, extra: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{extra}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

#[tokio::test]
async fn each_answer_has_its_own_status() {
    let (address, ..) = open(Limits::default()).await;
    let big = "good".repeat(70_000);
    for (request, expected) in [
        (post("/hooks/main", "", "good"), "200"),
        (post("/hooks/main", "", "bad"), "400"),
        (post("/hooks/main", "", "?"), "401"),
        (post("/hooks/other", "", "good"), "404"),
        (post("/hooks/main", "content-encoding: gzip\r\n", "good"), "415"),
        (post("/hooks/main", "", "full"), "503"),
        (post("/hooks/main", "", &big), "413"),
        ("GET /hooks/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into(), "405"),
        ("rubbish\r\n\r\n".into(), "400"),
    ] {
        let answer = exchange(address, &request).await;
        assert_eq!(status(&answer), expected, "{}", &request[..request.len().min(120)]);
    }
}

#[tokio::test]
async fn answers_say_what_a_sender_can_use_and_no_more() {
    let (address, ..) = open(Limits::default()).await;
    assert!(exchange(address, post("/hooks/main", "", "bad")).await.ends_with(r#"{"error":"no call_id"}"#));
    assert!(exchange(address, post("/hooks/main", "", "full")).await.contains("retry-after: 30"));
    let get = "GET /hooks/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(exchange(address, get).await.contains("allow: POST"));
    let first = exchange(address, post("/hooks/main", "", "?")).await;
    let second = exchange(address, post("/hooks/main", "x-signature: nearly\r\n", "another body")).await;
    assert_eq!(first, second, "every 401 is the same to the byte");
}

#[tokio::test]
async fn a_chunked_body_has_the_same_cap() {
    let (address, ..) = open(Limits { body_bytes: 10, ..Limits::default() }).await;
    let chunked = |body: &str| {
        format!(
            "POST /hooks/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    assert_eq!(status(&exchange(address, chunked("good567890")).await), "200");
    assert_eq!(status(&exchange(address, chunked("good5678901")).await), "413");
}

#[tokio::test]
async fn slow_headers_and_idle_connections_are_closed_and_slow_bodies_told_so() {
    let (address, ..) = open(quick()).await;
    let begun = Instant::now();
    exchange(address, "POST /hooks/main HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    exchange(address, "").await;
    let answer = exchange(address, "POST /hooks/main HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\ngoo").await;
    assert_eq!(status(&answer), "408");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let (address, ..) = open(Limits::default()).await;
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_eq!(status(&exchange(address, post("/hooks/main", &many, "good")).await), "431");
    let long = format!("x-long: {}\r\n", "a".repeat(200_000));
    assert_eq!(status(&exchange(address, post("/hooks/main", &long, "good")).await), "431");
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let (address, ..) = open(Limits { connections_per_address: 2, ..Limits::default() }).await;
    let (first, _second) = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    // The server has accepted both once it answers nothing to a third.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&exchange(address, post("/hooks/main", "", "good")).await), "nothing");
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&exchange(address, post("/hooks/main", "", "good")).await), "200");
}

#[tokio::test]
async fn five_hundred_stalled_senders_do_not_slow_an_honest_one() {
    let (address, ..) = open(Limits::default()).await;
    let mut stalled = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Half of them stall in the headers, half in a body that they announced as large.
        let part = match number % 2 {
            0 => "POST /hooks/main HTTP/1.1\r\nhost: x\r\nx-slow: ",
            _ => "POST /hooks/main HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\ng",
        };
        stream.write_all(part.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(status(&exchange(address, post("/hooks/main", "", "good")).await), "200");
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_millis(250), "{slowest:?}");
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_shutdown_lets_the_last_one_finish() {
    let (address, context, task) = open(Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        |body: &str| format!("POST /hooks/main HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..3 {
        stream.write_all(request("good").as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
    }
    stream.write_all(request("slow").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    context.shutdown.cancel();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(Duration::from_secs(2), task).await.expect("ends promptly").unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody is listening any more");
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_loses_its_place() {
    let (address, ..) = open(Limits { connections: 1, ..quick() }).await;
    let mut deaf = TcpStream::connect(address).await.unwrap();
    deaf.write_all(post("/hooks/main", "", "flood").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let answer = exchange(address, post("/hooks/main", "", "good")).await;
    assert_eq!(status(&answer), "200", "its place is free again");
    drop(deaf);
}

#[tokio::test]
async fn a_peer_that_reads_slowly_gets_all_of_its_answer() {
    let (address, ..) = open(quick()).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(post("/hooks/main", "", "flood").as_bytes()).await.unwrap();
    let (mut piece, mut read) = (vec![0; 4 << 20], 0);
    loop {
        match slow.read(&mut piece).await.unwrap() {
            0 => break,
            count => read += count,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read > 32 << 20, "{read}");
}

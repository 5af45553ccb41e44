//! What stands before a server: passes requests on, and answers some of them itself.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What nginx says when it does not know where to send a request.
pub const PROXY_404: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n<html><h1>404 Not Found</h1></html>";
/// What the API says of a status that is not there.
pub const API_404: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"error\":\"Record not found\"}";
/// What the API says when it does not accept the token.
pub const API_401: &str =
    "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n{\"error\":\"The access token is invalid\"}";

/// Part of a path, what is answered to a request for it, and how often.
type Rule = (&'static str, &'static str, usize);

/// It listens until the test ends.
pub struct Front {
    pub base_url: String,
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl Front {
    pub async fn of(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let (upstream, kept) = (upstream.trim_start_matches("http://").to_owned(), rules.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, upstream.clone(), kept.clone()));
            }
        });
        Self { base_url, rules }
    }

    /// The next `count` requests for a path with `part` in it get this answer.
    pub fn answer(&self, part: &'static str, answer: &'static str, count: usize) {
        self.rules.lock().unwrap().push((part, answer, count));
    }

    /// How many answers are still to be given.
    pub fn left(&self) -> usize {
        self.rules.lock().unwrap().iter().map(|rule| rule.2).sum()
    }
}

/// One request a connection: the listings are read without a body.
async fn pass(mut stream: TcpStream, upstream: String, rules: Arc<Mutex<Vec<Rule>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let canned = {
        let mut rules = rules.lock().unwrap();
        let rule = rules.iter_mut().find(|(part, _, left)| *left > 0 && line.contains(part));
        rule.map(|rule| {
            rule.2 -= 1;
            rule.1
        })
    };
    if let Some(answer) = canned {
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(upstream).await.unwrap();
    server.write_all(format!("{line}\r\nconnection: close\r\n{rest}").as_bytes()).await.unwrap();
    let _ = tokio::io::copy(&mut server, &mut stream).await;
}

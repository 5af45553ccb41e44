//! An issuer of access tokens: the token endpoint of RFC 6749, with one grant.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Default)]
struct State {
    /// Refresh token, access token, lifetime in seconds.
    grant: Option<(String, String, u64)>,
    replacement: Option<String>,
    requests: Vec<String>,
}

pub struct Issuer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on this refresh token, and no other, is worth that access token.
    pub fn grant(&self, refresh: &str, access: &str, lifetime_seconds: u64) {
        self.state.lock().unwrap().grant = Some((refresh.into(), access.into(), lifetime_seconds));
    }

    pub fn withdraw(&self) {
        self.state.lock().unwrap().grant = None;
    }

    /// Answers carry this refresh token.
    pub fn replaces_with(&self, refresh: &str) {
        self.state.lock().unwrap().replacement = Some(refresh.into());
    }

    /// Request line, headers and form of each.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let (mut request, mut block) = (Vec::new(), [0; 4096]);
    let complete = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().unwrap())
    };
    while !complete(&request) {
        match stream.read(&mut block).await {
            Ok(read) if read > 0 => request.extend_from_slice(&block[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let (status, body) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        match &state.grant {
            Some((refresh, access, lifetime)) if request.contains(&format!("refresh_token={refresh}")) => {
                let renewed = state.replacement.as_ref();
                let renewed = renewed.map_or(String::new(), |token| format!(r#","refresh_token":"{token}""#));
                ("200 OK", format!(r#"{{"access_token":"{access}","expires_in":"{lifetime}"{renewed}}}"#))
            }
            _ => ("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned()),
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

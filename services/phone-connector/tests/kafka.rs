//! The real connector against a real Kafka: what got a 2xx arrives, whatever happens to the broker or to the connector.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "the helpers of the tests that need no broker")]
mod common;

use common::{config, standard_headers};
use outcry_domain::Item;
use outcry_kafka::{KafkaConfig, Outcome, Publisher, Topic, ensure_topics, for_each_record};
use outcry_runtime::{Clock, Context, SystemClock};
use outcry_sandbox::{KafkaOptions, KafkaServer, fresh_prefix};
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn event(call: &str, sequence: u32) -> Vec<u8> {
    json!({
        "type": "call.note", "call_id": call, "sequence": sequence, "occurred_at": "2026-03-01T09:30:00Z",
        "direction": "inbound", "from": "+390212345678", "note": format!("{call}/{sequence}"),
    })
    .to_string()
    .into_bytes()
}

/// Sends one signed event; its status, or 0 when there was no answer.
async fn send(port: u16, body: &[u8]) -> u16 {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return 0 };
    let mut request =
        format!("POST /hooks/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in standard_headers("msg", SystemClock.now(), body) {
        request += &format!("{name}: {value}\r\n");
    }
    let request = [request.as_bytes(), b"\r\n", body].concat();
    let mut answer = Vec::new();
    if stream.write_all(&request).await.is_err() || stream.read_to_end(&mut answer).await.is_err() {
        return 0;
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Sends events until told to stop, a few at a time; the notes of those that got a 2xx.
async fn send_many(port: u16, call: &str, count: u32) -> BTreeSet<String> {
    let mut accepted = BTreeSet::new();
    for first in (0..count).step_by(10) {
        let batch = (first..(first + 10).min(count)).map(|sequence| {
            let call = call.to_owned();
            tokio::spawn(async move { (format!("{call}/{sequence}"), send(port, &event(&call, sequence)).await) })
        });
        for sent in batch.collect::<Vec<_>>() {
            let (note, status) = sent.await.unwrap();
            if status == 200 {
                accepted.insert(note);
            }
        }
    }
    accepted
}

/// Reads the raw topic in the background.
struct Reader {
    notes: Arc<Mutex<BTreeSet<String>>>,
    context: Context,
}

impl Reader {
    fn start(kafka: &KafkaConfig) -> Self {
        let (notes, context) = (Arc::new(Mutex::new(BTreeSet::new())), Context::for_tests());
        let (config, seen, reading) = (kafka.clone(), notes.clone(), context.clone());
        tokio::spawn(async move {
            let publisher = Publisher::new(&config, "test").unwrap();
            let handler = move |record: outcry_kafka::Record| {
                let item: Item = serde_json::from_slice(&record.payload).expect("an item");
                seen.lock().unwrap().insert(item.text);
                std::future::ready(Outcome::Done)
            };
            for_each_record(&config, "test", &[Topic::ItemsRaw], &publisher, &reading, handler).await.unwrap();
        });
        Self { notes, context }
    }

    async fn wait_for(&self, expected: &BTreeSet<String>) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let missing: Vec<String> = expected.difference(&self.notes.lock().unwrap()).cloned().collect();
            if missing.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "lost {} of {}: {:?}",
                missing.len(),
                expected.len(),
                &missing[..missing.len().min(5)]
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.context.shutdown.cancel();
    }
}

async fn until_listening(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < deadline, "the connector never listened");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The real binary, with a configuration file.
fn start_process(folder: &Path, kafka: &KafkaConfig, port: u16) -> Child {
    let file = folder.join("phone.toml");
    let text = format!(
        "[kafka]\nbootstrap_servers = {:?}\ntopic_prefix = {:?}\n[[brands]]\nid = \"acme\"\nname = \"Acme\"\n[identity]\nkey = \"test key\"\n\
         [phone]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"https://hooks.example.org\"\nspool_dir = {:?}\n\
         [[phone.accounts]]\nname = \"main\"\nbrand = \"acme\"\nprovider = \"standard\"\nsecret = {:?}\n",
        kafka.bootstrap_servers,
        kafka.topic_prefix,
        folder.join("spool"),
        common::SECRET,
    );
    std::fs::write(&file, text).unwrap();
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("phone.log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_outcry-phone-connector"))
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the binary starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_got_a_2xx_arrives_whatever_dies() {
    let folder = tempfile::tempdir().unwrap();
    let options = KafkaOptions { heap_mib: 256, ..KafkaOptions::default() };
    let broker = KafkaServer::start(&folder.path().join("kafka"), options).await.unwrap();
    let kafka = KafkaConfig::new(broker.bootstrap(), fresh_prefix());
    ensure_topics(&kafka).await.unwrap();
    let reader = Reader::start(&kafka);

    in_process_through_a_stopped_broker(folder.path(), &broker, &kafka, &reader).await;
    killed_with_records_in_the_spool(folder.path(), &broker, &kafka, &reader).await;
}

/// Kafka stops answering in the middle of a stream; nobody notices but the health page.
async fn in_process_through_a_stopped_broker(
    folder: &Path,
    broker: &KafkaServer,
    kafka: &KafkaConfig,
    reader: &Reader,
) {
    let port = free_port();
    let phone = json!({ "listen": format!("127.0.0.1:{port}"), "spool_dir": folder.join("spool-in-process") });
    let config = config(&kafka.bootstrap_servers, &kafka.topic_prefix, &phone);
    let context = Context::for_tests();
    let service = tokio::spawn(outcry_phone_connector::run(config, context.clone()));
    until_listening(port).await;

    let before = send_many(port, "before", 30).await;
    assert_eq!(before.len(), 30);
    reader.wait_for(&before).await;
    assert!(context.health.problems().is_empty(), "{:?}", context.health.problems());

    broker.stop_process().unwrap();
    let begun = Instant::now();
    let during = send_many(port, "during", 200).await;
    assert_eq!(during.len(), 200, "every sender got its 2xx");
    assert!(begun.elapsed() < Duration::from_secs(10), "only the first ones waited: {:?}", begun.elapsed());
    assert!(context.health.problems().contains_key("spool"));

    broker.continue_process().unwrap();
    reader.wait_for(&during).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !context.health.problems().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", context.health.problems());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(send_many(port, "after", 10).await.len(), 10);
    context.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), service).await.expect("stops").unwrap().unwrap();
}

/// F12 in small: Kafka is dead, the connector is killed again and again while senders go on, then all come back.
async fn killed_with_records_in_the_spool(folder: &Path, broker: &KafkaServer, kafka: &KafkaConfig, reader: &Reader) {
    let port = free_port();
    broker.kill();
    let mut accepted = BTreeSet::new();
    for round in 0..5 {
        let mut process = start_process(folder, kafka, port);
        until_listening(port).await;
        let sending = tokio::spawn(async move { send_many(port, &format!("round{round}"), 400).await });
        tokio::time::sleep(Duration::from_millis(2300 + 150 * round)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        accepted.extend(sending.await.unwrap());
    }
    assert!(accepted.len() > 50, "the spool took {}", accepted.len());

    broker.restart().await.unwrap();
    let mut process = start_process(folder, kafka, port);
    reader.wait_for(&accepted).await;
    // SIGTERM ends it promptly.
    Command::new("kill").arg(process.id().to_string()).status().unwrap();
    let begun = Instant::now();
    assert!(process.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10));
    println!("accepted across 5 kills: {}, lost: 0", accepted.len());
}

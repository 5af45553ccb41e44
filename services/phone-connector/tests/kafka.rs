//! The real connector against a real Kafka: what got a 2xx arrives, whatever happens to the broker or to the connector.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod calls;
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
    io::Write,
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

/// The notes of events that got a 2xx.
type Accepted = Arc<Mutex<BTreeSet<String>>>;

/// Sends events, a few at a time.
async fn send_into(accepted: Accepted, port: u16, call: &str, count: u32) {
    for first in (0..count).step_by(10) {
        let batch = (first..(first + 10).min(count)).map(|sequence| {
            let (call, accepted) = (call.to_owned(), accepted.clone());
            tokio::spawn(async move {
                if send(port, &event(&call, sequence)).await == 200 {
                    accepted.lock().unwrap().insert(format!("{call}/{sequence}"));
                }
            })
        });
        for sent in batch.collect::<Vec<_>>() {
            sent.await.unwrap();
        }
    }
}

async fn send_many(port: u16, call: &str, count: u32) -> BTreeSet<String> {
    let accepted = Accepted::default();
    send_into(accepted.clone(), port, call, count).await;
    accepted.lock().unwrap().clone()
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
                let call = item.call.expect("a call");
                seen.lock().unwrap().insert(if item.text.is_empty() {
                    call.leg_id.unwrap_or_default()
                } else {
                    item.text
                });
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
    a_cdr_file_through_rotation_and_restart(folder.path(), &kafka, &reader).await;
    killed_with_records_in_the_spool(folder.path(), &broker, &kafka, &reader).await;
}

/// Appends records to a CDR file; their ids.
fn write_records(file: &Path, ids: std::ops::Range<u32>) -> BTreeSet<String> {
    let line = |id: u32| {
        format!(
            "\"\",\"0212345678\",\"39021111111\",\"from-trunk\",\"\",\"SIP/t-01\",\"SIP/200-02\",\"Dial\",\"\",\"2026-03-01 10:00:00\",\
             \"2026-03-01 10:00:05\",\"2026-03-01 10:00:09\",9,4,\"ANSWERED\",\"DOCUMENTATION\",\"cdr-1772355600.{id}\"\n"
        )
    };
    let text: String = ids.clone().map(line).collect();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    ids.map(|id| format!("cdr-1772355600.{id}")).collect()
}

/// Edge: logrotate while the connector is down, a broken line in the middle, a restart.
async fn a_cdr_file_through_rotation_and_restart(folder: &Path, kafka: &KafkaConfig, reader: &Reader) {
    let file = folder.join("Master.csv");
    let mut expected = write_records(&file, 0..500);
    let phone = json!({
        "listen": "127.0.0.1:0", "spool_dir": folder.join("spool-cdr"),
        "accounts": [{ "name": "pbx", "brand": "acme", "provider": "asterisk", "region": "IT", "cdr_file": file }],
    });
    for round in 0..2 {
        let context = Context::for_tests();
        let config = config(&kafka.bootstrap_servers, &kafka.topic_prefix, &phone);
        let service = tokio::spawn(outcry_phone_connector::run(config, context.clone()));
        reader.wait_for(&expected).await;
        assert!(context.health.problems().is_empty(), "{:?}", context.health.problems());
        context.shutdown.cancel();
        service.await.unwrap().unwrap();
        let first = 1000 * (round + 1);
        expected.extend(write_records(&file, first..first + 10));
        std::fs::rename(&file, folder.join(format!("Master.csv.{round}"))).unwrap();
        std::fs::write(&file, "torn,\"line\n").unwrap();
        expected.extend(write_records(&file, first + 10..first + 20));
    }
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

/// F12b in small: the connector is killed again and again while senders go on, Kafka dead half of the time, then all come back.
async fn killed_with_records_in_the_spool(folder: &Path, broker: &KafkaServer, kafka: &KafkaConfig, reader: &Reader) {
    let port = free_port();
    broker.kill();
    let accepted = Accepted::default();
    let count = || accepted.lock().unwrap().len();
    for round in 0..6 {
        if round == 3 {
            broker.restart().await.unwrap();
        }
        let mut process = start_process(folder, kafka, port);
        until_listening(port).await;
        let (call, sent, before) = (format!("round{round}"), accepted.clone(), count());
        let sending = tokio::spawn(async move { send_into(sent, port, &call, 400).await });
        let deadline = Instant::now() + Duration::from_secs(60);
        // In the middle of a group: some of what was sent is answered, some is not.
        while count() < before + 20 + 7 * round {
            assert!(Instant::now() < deadline, "round {round}: nothing is accepted");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        sending.await.unwrap();
    }
    let accepted = accepted.lock().unwrap().clone();

    let mut process = start_process(folder, kafka, port);
    until_listening(port).await;
    reader.wait_for(&accepted).await;
    // SIGTERM ends it promptly.
    Command::new("kill").arg(process.id().to_string()).status().unwrap();
    let begun = Instant::now();
    assert!(process.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10));
    println!("accepted across 6 kills: {}, lost: 0", accepted.len());
}

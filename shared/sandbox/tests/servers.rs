//! The local stack for real: Kafka, ClickHouse, Dovecot, SMTP, the Mastodon fake and the fault proxy. They run on a stack
//! of their own, whatever OUTCRY_TEST_STACK says, because steering tests kill its servers: one after the other, because a
//! killed broker is killed for all.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions, not in their helpers

use std::time::Duration;

use futures::StreamExt;
use outcry_sandbox::{
    Delivery, Fault, FaultProxy, MastodonOptions, MastodonServer, NewStatus, Stack, StackOptions, fresh_prefix,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Readers use the servers, a writer kills them.
static USE: RwLock<()> = RwLock::const_new(());
static OWN: OnceCell<Stack> = OnceCell::const_new();

async fn own_stack() -> &'static Stack {
    OWN.get_or_init(|| async { Stack::start(StackOptions::default().with_dovecot()).await.unwrap() }).await
}

async fn using() -> (&'static Stack, RwLockReadGuard<'static, ()>) {
    (own_stack().await, USE.read().await)
}

async fn alone() -> (&'static Stack, RwLockWriteGuard<'static, ()>) {
    (own_stack().await, USE.write().await)
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

async fn make_topic(bootstrap: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let made = admin.create_topics(&[NewTopic::new(topic, 1, TopicReplication::Fixed(1))], &AdminOptions::new()).await;
    assert!(made.unwrap().iter().all(Result::is_ok));
}

async fn produce(bootstrap: &str, topic: &str, numbers: std::ops::Range<u32>) {
    let producer: FutureProducer = client(bootstrap).set("enable.idempotence", "true").create().unwrap();
    for number in numbers {
        let payload = number.to_string();
        let record = FutureRecord::<(), _>::to(topic).payload(&payload);
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
}

async fn consume(bootstrap: &str, topic: &str, group: &str, count: usize) -> Vec<u32> {
    let consumer: StreamConsumer =
        client(bootstrap).set("group.id", group).set("auto.offset.reset", "earliest").create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let read = consumer.stream().take(count).map(|message| {
        let message = message.unwrap().detach();
        std::str::from_utf8(message.payload().unwrap()).unwrap().parse::<u32>().unwrap()
    });
    tokio::time::timeout(Duration::from_secs(30), read.collect()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_carries_messages_and_refuses_unknown_topics() {
    let (stack, _guard) = using().await;
    let topic = format!("{}items", fresh_prefix());
    make_topic(stack.bootstrap(), &topic).await;
    produce(stack.bootstrap(), &topic, 0..100).await;
    assert_eq!(consume(stack.bootstrap(), &topic, &topic, 100).await, (0..100).collect::<Vec<_>>());

    let producer: FutureProducer =
        client(stack.bootstrap()).set("topic.metadata.propagation.max.ms", "500").create().unwrap();
    let unknown = FutureRecord::<(), _>::to("never-created").payload("x");
    assert!(producer.send(unknown, Duration::from_secs(10)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_comes_back_with_every_acknowledged_message() {
    let (stack, _guard) = alone().await;
    let kafka = stack.kafka_server().unwrap();
    let topic = format!("{}items", fresh_prefix());
    make_topic(stack.bootstrap(), &topic).await;
    produce(stack.bootstrap(), &topic, 0..50).await;
    let before = kafka.pid().unwrap();
    kafka.kill();
    assert_eq!(kafka.pid(), None);
    let begun = std::time::Instant::now();
    kafka.restart().await.unwrap();
    eprintln!("kafka restart after kill: {:?}", begun.elapsed());
    assert_ne!(kafka.pid().unwrap(), before);
    produce(stack.bootstrap(), &topic, 50..60).await;
    assert_eq!(consume(stack.bootstrap(), &topic, &topic, 60).await, (0..60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_clickhouse_comes_back_with_its_rows() {
    let (stack, _guard) = alone().await;
    let (server, ask) = (stack.clickhouse_server().unwrap(), stack.clickhouse());
    let database = stack.fresh_database().await.unwrap();
    let create = format!(
        "CREATE TABLE {database}.t (n UInt32) ENGINE = ReplacingMergeTree ORDER BY n SETTINGS fsync_after_insert = 1"
    );
    ask.query("migrator", &create).await.unwrap();
    ask.query("sink", &format!("INSERT INTO {database}.t SELECT number FROM numbers(1000)")).await.unwrap();
    server.kill();
    assert!(ask.query("sink", "SELECT 1").await.is_err());
    let begun = std::time::Instant::now();
    server.restart().await.unwrap();
    eprintln!("clickhouse restart after kill: {:?}", begun.elapsed());
    assert_eq!(ask.query("sink", &format!("SELECT count(), sum(n) FROM {database}.t")).await.unwrap(), "1000\t499500");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_clickhouse_answers_once_it_continues() {
    let (stack, _guard) = alone().await;
    let server = stack.clickhouse_server().unwrap();
    server.stop_process().unwrap();
    let frozen = tokio::time::timeout(Duration::from_millis(500), stack.clickhouse().query("sink", "SELECT 1")).await;
    server.continue_process().unwrap();
    assert!(frozen.is_err());
    assert_eq!(stack.clickhouse().query("sink", "SELECT 1").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_reads_views_and_nothing_else() {
    let (stack, _guard) = using().await;
    let database = stack.fresh_database().await.unwrap();
    let ask = stack.clickhouse();
    ask.query("migrator", &format!("CREATE TABLE {database}.t (n UInt32) ENGINE = MergeTree ORDER BY n"))
        .await
        .unwrap();
    ask.query("sink", &format!("INSERT INTO {database}.t VALUES (1), (2)")).await.unwrap();
    let view =
        format!("CREATE VIEW {database}.v_t DEFINER = migrator SQL SECURITY DEFINER AS SELECT * FROM {database}.t");
    ask.query("migrator", &view).await.unwrap();
    assert_eq!(ask.query("analyst", &format!("SELECT sum(n) FROM {database}.v_t")).await.unwrap(), "3");

    let refused = [
        format!("SELECT * FROM {database}.t"),
        format!("INSERT INTO {database}.t VALUES (3)"),
        format!("DROP TABLE {database}.t"),
        format!("SELECT * FROM {database}.v_t SETTINGS max_execution_time = 0"),
        "SELECT * FROM file('/etc/passwd', 'LineAsString')".to_owned(),
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')".to_owned(),
    ];
    for sql in refused {
        let answer = ask.query("analyst", &sql).await.unwrap_err().to_string();
        assert!(answer.contains("ACCESS_DENIED") || answer.contains("READONLY"), "{sql}: {answer}");
    }
    let sink_drops = ask.query("sink", &format!("DROP TABLE {database}.t")).await.unwrap_err().to_string();
    assert!(sink_drops.contains("ACCESS_DENIED"), "{sink_drops}");
    ask.query("sink", "KILL QUERY WHERE query_id LIKE 'nobody/%' SYNC").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_enters_clickhouse_without_a_password() {
    let (stack, _guard) = using().await;
    for user in ["", "user=default", "user=migrator", "user=default&max_sessions_for_user=0"] {
        let url = format!("{}/?{user}", stack.clickhouse().url);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let answer = reqwest::Client::new().post(url).body("SELECT 1").send().await.unwrap();
        assert!(!answer.status().is_success(), "{user}: {:?}", answer.text().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_takes_mail_both_ways_and_tells_an_idle_client() {
    let (stack, _guard) = using().await;
    let dovecot = stack.dovecot().unwrap();
    let mail = |number: u32| {
        format!("From: a@example.org\r\nMessage-ID: <{number}@x>\r\nSubject: {number}\r\n\r\nbody {number}\r\n")
            .into_bytes()
    };
    let date = "2026-01-05T10:00:00Z".parse().unwrap();
    dovecot.append("support", "INBOX", &mail(1), Some(date)).await.unwrap();
    dovecot.append("support", "Sent", &mail(2), None).await.unwrap();
    let bulk = (100..600).map(|number| Delivery { raw: mail(number), internal_date: Some(date) });
    assert_eq!(dovecot.deliver("support", "INBOX", bulk).unwrap(), 500);

    let mut session = dovecot.login("support").await.unwrap();
    let capabilities = session.capabilities().await.unwrap();
    for wanted in ["IDLE", "UIDPLUS", "CONDSTORE"] {
        assert!(capabilities.has_str(wanted), "{wanted}");
    }
    assert_eq!(session.examine("Sent").await.unwrap().exists, 1);
    assert_eq!(session.select("INBOX").await.unwrap().exists, 501);
    let dates: Vec<_> = session.uid_fetch("1:*", "INTERNALDATE").await.unwrap().collect().await;
    assert!(dates.iter().all(|fetch| fetch.as_ref().unwrap().internal_date().unwrap().timestamp() == date.as_second()));

    let mut idle = session.idle();
    idle.init().await.unwrap();
    let (told, _stop) = idle.wait_with_timeout(Duration::from_secs(20));
    dovecot.append("support", "INBOX", &mail(3), None).await.unwrap();
    let response = tokio::time::timeout(Duration::from_secs(20), told).await.unwrap().unwrap();
    assert!(matches!(response, async_imap::extensions::idle::IdleResponse::NewData(_)), "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_comes_back_with_its_mail_after_a_kill() {
    let (stack, _guard) = alone().await;
    let dovecot = stack.dovecot().unwrap();
    dovecot.append("survivor", "INBOX", b"Subject: x\r\n\r\ny\r\n", None).await.unwrap();
    dovecot.kill();
    assert!(dovecot.login("survivor").await.is_err());
    dovecot.restart().await.unwrap();
    let mut session = dovecot.login("survivor").await.unwrap();
    assert_eq!(session.select("INBOX").await.unwrap().exists, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn smtp_keeps_what_it_receives_and_fails_on_request() {
    use lettre::transport::smtp::authentication::Credentials;
    use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
    let smtp = outcry_sandbox::SmtpServer::start(Default::default()).unwrap();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(smtp.port())
        .credentials(Credentials::new("outcry".to_owned(), "secret".to_owned()))
        .build();
    let message = lettre::Message::builder()
        .from("desk@acme.example".parse().unwrap())
        .to("ann@example.org".parse().unwrap())
        .subject("Your complaint")
        .body("first\r\n.starts with a dot\r\n..two\r\n".to_owned())
        .unwrap();
    transport.send(message.clone()).await.unwrap();
    smtp.fail_next(451, 1);
    assert!(transport.send(message.clone()).await.unwrap_err().is_transient());
    smtp.fail_next(550, 1);
    assert!(transport.send(message.clone()).await.unwrap_err().is_permanent());
    transport.send(message).await.unwrap();

    let received = smtp.wait_for(2, Duration::from_secs(5)).await;
    assert_eq!(received.len(), 2);
    let mail = &received[0];
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("desk@acme.example", ["ann@example.org".to_owned()].as_slice())
    );
    assert_eq!(mail.user.as_deref(), Some("outcry"));
    let text = String::from_utf8_lossy(&mail.data);
    assert!(text.contains("\r\n.starts with a dot\r\n..two\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_misbehaves_as_told() {
    let (stack, _guard) = using().await;
    let proxy = FaultProxy::start(stack.clickhouse().url.trim_start_matches("http://")).unwrap();
    let mut through = stack.clickhouse().clone();
    through.url = format!("http://{}", proxy.address());
    let ask = |sql: &'static str| through.query("sink", sql);

    assert_eq!(ask("SELECT 1").await.unwrap(), "1");
    proxy.set(Fault::Delay(Duration::from_millis(200)));
    let begun = std::time::Instant::now();
    assert_eq!(ask("SELECT 2").await.unwrap(), "2");
    assert!(begun.elapsed() >= Duration::from_millis(400));
    proxy.set(Fault::DropResponse);
    assert!(ask("SELECT 3").await.is_err());
    assert!(proxy.dropped_responses() >= 1);
    // In the body: in the header it would abort the embedded engine (see clickhouse_server.rs).
    proxy.set(Fault::CutRequestAfter(2000));
    let long = format!("SELECT 4 /* {} */", "x".repeat(5000));
    assert!(through.query("sink", &long).await.is_err());
    // A client that hangs up in the middle of a long answer must not take the server with it (SIGPIPE).
    for _ in 0..20 {
        proxy.set(Fault::CutResponseAfter(20));
        assert!(ask("SELECT 5 FROM numbers(3000000)").await.is_err());
    }
    proxy.set(Fault::SlowResponse(2000));
    let begun = std::time::Instant::now();
    assert_eq!(ask("SELECT 6").await.unwrap(), "6");
    assert!(begun.elapsed() >= Duration::from_millis(150));
    proxy.set(Fault::Off);
    assert!(ask("SELECT 7").await.is_err());
    proxy.set(Fault::Blackhole);
    let held = tokio::spawn({
        let through = through.clone();
        async move { through.query("sink", "SELECT 8").await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!held.is_finished());
    proxy.set(Fault::None);
    assert_eq!(held.await.unwrap().unwrap(), "8");
}

async fn get(server: &MastodonServer, path: &str) -> (u16, Option<String>, serde_json::Value) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = match path.starts_with("http") {
        true => path.to_owned(),
        false => format!("{}{path}", server.base_url()),
    };
    let answer = reqwest::Client::new().get(url).bearer_auth(server.token()).send().await.unwrap();
    let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
    assert!(answer.headers().contains_key("x-ratelimit-remaining"));
    (answer.status().as_u16(), link, answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn following_min_id_through_mastodon_meets_every_mention_once() {
    let server = MastodonServer::start(MastodonOptions::default()).unwrap();
    let start: jiff::Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    let added: Vec<String> = (0..1000_i64)
        .map(|number| {
            server.add_mention(NewStatus::new(
                "ann@elsewhere.example",
                &format!("mention {number}"),
                start + Duration::from_secs(number.unsigned_abs()),
            ))
        })
        .collect();
    let mut met = Vec::new();
    let mut next = Some("/api/v1/notifications?types[]=mention&limit=80&min_id=0".to_owned());
    while let Some(path) = next {
        let (status, link, body) = get(&server, &path).await;
        assert_eq!(status, 200);
        let mut page: Vec<String> =
            body.as_array().unwrap().iter().map(|note| note["status"]["id"].as_str().unwrap().to_owned()).collect();
        page.reverse();
        met.append(&mut page);
        let prev = |link: String| {
            link.split(", ")
                .find(|part| part.contains("rel=\"prev\""))
                .map(|part| part[1..].split('>').next().unwrap().to_owned())
        };
        next = link.and_then(prev);
    }
    assert_eq!(met, added);
}

#[tokio::test(flavor = "multi_thread")]
async fn mastodon_shows_edits_deletions_own_replies_and_failures() {
    let server = MastodonServer::start(MastodonOptions::default()).unwrap();
    let at: jiff::Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    let mention = server.add_mention(NewStatus::new("ann", "where is my parcel?", at));
    let reply = server.add_own("we look into it", at, Some(&mention));
    server.add_boost(&mention, at).unwrap();
    server.edit(&mention, "where is my parcel, and my money?", at + Duration::from_secs(60)).unwrap();

    let (_, _, status) = get(&server, &format!("/api/v1/statuses/{mention}")).await;
    assert_eq!(status["edited_at"], "2026-01-05T10:01:00.000Z");
    assert_eq!(get(&server, &format!("/api/v1/statuses/{mention}/history")).await.2.as_array().unwrap().len(), 2);
    let own = get(&server, "/api/v1/accounts/verify_credentials").await.2["id"].as_str().unwrap().to_owned();
    let (_, _, replies) = get(&server, &format!("/api/v1/accounts/{own}/statuses?exclude_reblogs=true&min_id=0")).await;
    assert_eq!(replies.as_array().unwrap().len(), 1);
    assert_eq!((&replies[0]["id"], &replies[0]["in_reply_to_id"]), (&reply.into(), &mention.clone().into()));

    server.delete(&mention).unwrap();
    assert_eq!(get(&server, &format!("/api/v1/statuses/{mention}")).await.0, 404);
    server.fail_next(429, 1);
    assert_eq!(get(&server, "/api/v1/notifications").await.0, 429);
    assert_eq!(get(&server, "/api/v1/notifications").await.0, 200);
    let anonymous =
        reqwest::Client::new().get(format!("{}/api/v1/notifications", server.base_url())).send().await.unwrap();
    assert_eq!(anonymous.status().as_u16(), 401);
}

/// The pids below a process, read from /proc.
fn descendants(of: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let children: Vec<u32> = pids.filter(|pid| parent(pid) == Some(of)).collect();
    children.iter().copied().chain(children.iter().flat_map(|child| descendants(*child))).collect()
}

fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_parent_leaves_no_server_behind_and_its_folder_can_be_used_again() {
    let (_, _guard) = using().await;
    let dir = tempfile::Builder::new().prefix("outcry-serve-").tempdir().unwrap();
    let serve = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_outcry-sandbox"));
        command.args(["serve", "--data-dir"]).arg(dir.path());
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let addresses = dir.path().join("stack.json");
    let wait = || async {
        for _ in 0..600 {
            if let Ok(stack) = Stack::attach(&addresses) {
                return stack;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no stack.json");
    };
    let mut first = serve();
    let stack = wait().await;
    let bootstrap = stack.bootstrap().to_owned();
    make_topic(&bootstrap, "kept").await;
    produce(&bootstrap, "kept", 0..10).await;
    let servers = descendants(first.id());
    assert!(servers.len() >= 3, "{servers:?}");
    assert!(stack.kafka_server().is_err(), "an attached stack is not steered");
    first.kill().unwrap();
    first.wait().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(servers.iter().all(|pid| !runs(*pid)), "left behind: {servers:?}");

    std::fs::remove_file(&addresses).unwrap();
    let mut second = serve();
    let stack = wait().await;
    assert_eq!(stack.bootstrap(), bootstrap);
    assert_eq!(consume(&bootstrap, "kept", "again", 10).await, (0..10).collect::<Vec<_>>());
    let servers = descendants(second.id());
    // Closing stdin ends it in order.
    drop(second.stdin.take());
    assert!(second.wait().unwrap().success());
    assert!(servers.iter().all(|pid| !runs(*pid)), "left behind: {servers:?}");
}

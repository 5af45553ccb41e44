//! Mail: how fast it is parsed, how fast a mailbox is read into Kafka, what memory a large mail takes, and how soon a new
//! one can be consumed.

use crate::figures::Percentiles;
use anyhow::{Context as _, Result, ensure};
use base64::Engine;
use outcry_domain::{Brand, CustomerKey, Item, Timestamp};
use outcry_email_connector::{CONNECTOR, FolderKind, ParseContext, parse_mail};
use outcry_kafka::{Outcome, Record, Topic, for_each_record, group_positions, scan};
use outcry_runtime::Context;
use outcry_sandbox::{Delivery, Dovecot, Stack};
use outcry_tests::{Pipeline, Usage, machine};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    hint::black_box,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const EMAIL: &str = "outcry-email-connector";
/// The large mail, below the connector's cap.
const LARGE_BYTES: usize = 25_000_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// Of `bench email`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Mails in the mailbox that is read.
    #[arg(long, default_value_t = 20_000)]
    mails: u32,
    /// Mails that are parsed.
    #[arg(long, default_value_t = 100_000)]
    parsed: u32,
    /// Mails that arrive one by one while the connector waits with IDLE.
    #[arg(long, default_value_t = 200)]
    arrivals: u32,
}

/// The figures of one run.
pub struct EmailFigures {
    mean_bytes: usize,
    parsed_per_cpu_second: f64,
    mails: u32,
    read: Duration,
    connector: Usage,
    idle_rss_bytes: u64,
    large_rss_bytes: u64,
    arrival: Percentiles,
    load: [String; 2],
}

impl EmailFigures {
    fn read_per_second(&self) -> f64 {
        f64::from(self.mails) / self.read.as_secs_f64().max(f64::EPSILON)
    }

    fn read_per_cpu_second(&self) -> f64 {
        f64::from(self.mails) / self.connector.cpu.as_secs_f64().max(f64::EPSILON)
    }

    /// One document.
    pub fn to_json(&self) -> Value {
        let rounded = |value: f64| (value * 10.0).round() / 10.0;
        json!({
            "mean_message_bytes": self.mean_bytes,
            "parsed_per_second_and_core": rounded(self.parsed_per_cpu_second),
            "mailbox_messages": self.mails,
            "mailbox_messages_per_second": rounded(self.read_per_second()),
            "mailbox_messages_per_connector_cpu_second": rounded(self.read_per_cpu_second()),
            "mailbox_peak_rss_mb": rounded(self.connector.peak_rss_bytes as f64 / 1e6),
            "idle_rss_mb": rounded(self.idle_rss_bytes as f64 / 1e6),
            "large_message_peak_rss_mb": rounded(self.large_rss_bytes as f64 / 1e6),
            "new_mail_to_kafka_ms": { "p50": rounded(self.arrival.p50), "p99": rounded(self.arrival.p99) },
            "cores": machine::cores(),
            "load": { "before": self.load[0], "after": self.load[1] },
        })
    }
}

impl fmt::Display for EmailFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        writeln!(
            f,
            "parsed: {:.0} messages/s and core ({} bytes on average)",
            self.parsed_per_cpu_second, self.mean_bytes
        )?;
        let (rate, cpu) = (self.read_per_second(), self.connector.cpu.as_secs_f64());
        writeln!(
            f,
            "mailbox of {} read into Kafka: {rate:.0} messages/s, {:.1} s",
            self.mails,
            self.read.as_secs_f64()
        )?;
        writeln!(
            f,
            "  connector: {cpu:.2} CPU-s ({:.0} messages/CPU-s), peak RSS {:.1} MB",
            self.read_per_cpu_second(),
            mb(self.connector.peak_rss_bytes)
        )?;
        writeln!(
            f,
            "a message of 25 MB: peak RSS {:.1} MB, {:.1} MB before it",
            mb(self.large_rss_bytes),
            mb(self.idle_rss_bytes)
        )?;
        writeln!(
            f,
            "new mail to consumed from Kafka under IDLE: p50 {:.0} ms, p99 {:.0} ms",
            self.arrival.p50, self.arrival.p99
        )?;
        let [before, after] = &self.load;
        writeln!(f, "{} cores; load average before {before}, after {after}", machine::cores())
    }
}

/// Measures.
pub async fn run(stack: &Stack, options: &Options) -> Result<EmailFigures> {
    let dovecot = stack.dovecot()?;
    let load_before = machine::load();
    eprintln!("bench: parsing {} mails", options.parsed);
    let (mean_bytes, parsed_per_cpu_second) = parse(options.parsed)?;
    eprintln!("bench: reading a mailbox of {} mails", options.mails);
    let (read, connector) = read_mailbox(stack, dovecot, options.mails).await?;
    eprintln!("bench: a mail of 25 MB");
    let (idle_rss_bytes, large_rss_bytes) = large(stack, dovecot).await?;
    eprintln!("bench: {} mails that arrive one by one", options.arrivals);
    let arrival = arrivals(stack, dovecot, options.arrivals).await?;
    Ok(EmailFigures {
        mean_bytes,
        parsed_per_cpu_second,
        mails: options.mails,
        read,
        connector,
        idle_rss_bytes,
        large_rss_bytes,
        arrival,
        load: [load_before, machine::load()],
    })
}

/// Mean size, and messages for each second of CPU time of one thread.
fn parse(count: u32) -> Result<(usize, f64)> {
    let mails: Vec<Vec<u8>> = (0..1_000).map(typical).collect();
    let brand: Brand =
        serde_json::from_value(json!({ "id": "acme", "name": "Acme", "own_domains": ["acme.example"] }))?;
    let key = CustomerKey::new(b"bench");
    let now = Timestamp::from(jiff::Timestamp::now());
    let begun = thread_cpu()?;
    for number in 0..count as usize {
        let context = ParseContext {
            brand: &brand,
            source: "email:bench",
            folder: FolderKind::Inbound,
            location: None,
            internal_date: Some(now),
            now,
            key: &key,
            backfill: false,
            connector: CONNECTOR,
            whole_size: None,
        };
        black_box(parse_mail(black_box(&mails[number % mails.len()]), &context));
    }
    let used = thread_cpu()?.saturating_sub(begun);
    Ok((mails.iter().map(Vec::len).sum::<usize>() / mails.len(), f64::from(count) / used.as_secs_f64()))
}

/// CPU time of this thread.
fn thread_cpu() -> Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes into the struct that it is given and nowhere else.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    ensure!(!failed, "reading the thread's CPU time: {}", std::io::Error::last_os_error());
    Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec)?))
}

async fn prepared<'a>(stack: &'a Stack, dovecot: &Dovecot, user: &str) -> Result<Pipeline<'a>> {
    let section = format!(
        "\n[[email.mailboxes]]\nname = \"bench\"\nbrand = \"acme\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         username = \"{user}\"\npassword = \"{}\"\n",
        dovecot.port(),
        dovecot.password()
    );
    Pipeline::prepare_for_benchmark(stack, &section).await
}

/// Records in the raw topic.
async fn produced(pipeline: &Pipeline<'_>) -> Result<u64> {
    let positions = group_positions(&pipeline.kafka(), "bench", Topic::ItemsRaw).await?;
    Ok(positions.values().map(|position| position.end.unsigned_abs()).sum())
}

async fn wait_produced(pipeline: &Pipeline<'_>, count: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = produced(pipeline).await?;
        if found >= count {
            return Ok(());
        }
        pipeline.service(EMAIL).check_runs()?;
        ensure!(begun.elapsed() < PATIENCE, "only {found} of {count} mails are in Kafka after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// From the start of the connector until the broker has all of a mailbox that no client opened before.
async fn read_mailbox(stack: &Stack, dovecot: &Dovecot, mails: u32) -> Result<(Duration, Usage)> {
    dovecot.deliver(
        "bench",
        "INBOX",
        (0..mails).map(|number| Delivery { raw: typical(number), internal_date: None }),
    )?;
    let mut pipeline = prepared(stack, dovecot, "bench").await?;
    let begun = Instant::now();
    pipeline.launch(EMAIL)?;
    wait_produced(&pipeline, u64::from(mails)).await?;
    let took = begun.elapsed();
    let usage = pipeline.service(EMAIL).usage()?;
    let topic = pipeline.kafka().topic_name(Topic::ItemsRaw);
    let id = |record: Record| Some(serde_json::from_slice::<Item>(&record.payload).ok()?.item_id);
    let ids: BTreeSet<_> = scan(&pipeline.kafka(), &topic, id).await?.into_iter().collect();
    ensure!(ids.len() == mails as usize, "{mails} mails became {} items", ids.len());
    Ok((took, usage))
}

/// What the connector holds while it waits, and at most once the large mail was there.
async fn large(stack: &Stack, dovecot: &Dovecot) -> Result<(u64, u64)> {
    dovecot.append("large", "INBOX", &typical(0), None).await?;
    let mut pipeline = prepared(stack, dovecot, "large").await?;
    pipeline.start(&[EMAIL]).await?;
    wait_produced(&pipeline, 1).await?;
    let before = pipeline.service(EMAIL).usage()?.peak_rss_bytes;
    dovecot.append("large", "INBOX", &with_attachment(LARGE_BYTES), None).await?;
    wait_produced(&pipeline, 2).await?;
    Ok((before, pipeline.service(EMAIL).usage()?.peak_rss_bytes))
}

/// From before APPEND until a consumer has the item.
async fn arrivals(stack: &Stack, dovecot: &Dovecot, count: u32) -> Result<Percentiles> {
    dovecot.append("idle", "INBOX", &typical(0), None).await?;
    let mut pipeline = prepared(stack, dovecot, "idle").await?;
    pipeline.start(&[EMAIL]).await?;
    wait_produced(&pipeline, 1).await?;
    let seen: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let context = Context::new(outcry_runtime::CancellationToken::new());
    let consumer = {
        let (seen, context, kafka, publisher) =
            (Arc::clone(&seen), context.clone(), pipeline.kafka(), pipeline.publisher()?);
        let handler = move |record: Record| {
            let now = Instant::now();
            let item = serde_json::from_slice::<Item>(&record.payload).ok();
            if let Some(subject) = item.and_then(|item| item.subject) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).entry(subject).or_insert(now);
            }
            async { Outcome::Done }
        };
        tokio::spawn(async move {
            for_each_record(&kafka, "bench", &[Topic::ItemsRaw], &publisher, &context, handler).await
        })
    };
    let is_seen = |number: u32| seen.lock().unwrap_or_else(PoisonError::into_inner).get(&subject(number)).copied();
    let patience = Instant::now();
    while is_seen(0).is_none() {
        ensure!(patience.elapsed() < PATIENCE, "the consumer gets nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut session = dovecot.login("idle").await?;
    let mut durations = Vec::with_capacity(count as usize);
    for number in 1..=count {
        let raw = typical(number);
        let sent = Instant::now();
        session.append("INBOX", None, None, &raw).await.context("appending a mail")?;
        let arrived = loop {
            if let Some(at) = is_seen(number) {
                break at;
            }
            ensure!(sent.elapsed() < PATIENCE, "mail {number} did not arrive");
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        durations.push(arrived.duration_since(sent));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    context.shutdown.cancel();
    consumer.await.context("the consumer panicked")??;
    Percentiles::of(durations).context("no mail arrived")
}

fn subject(number: u32) -> String {
    format!("Order {number}")
}

fn head(number: u32) -> String {
    format!(
        "Return-Path: <c{number}@customer.example>\r\n\
         Received: from mx1.acme.example (mx1.acme.example [192.0.2.10])\r\n\tby store.acme.example (Postfix) with ESMTPS id 4Qx{number:06}\r\n\
         \tfor <care@acme.example>; Mon, 2 Mar 2026 09:00:02 +0000 (UTC)\r\n\
         Received: from out.customer.example (out.customer.example [198.51.100.7])\r\n\tby mx1.acme.example (Postfix) with ESMTPS id 7Yz{number:06};\r\n\
         \tMon, 2 Mar 2026 09:00:01 +0000 (UTC)\r\n\
         DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=customer.example; s=s1;\r\n\th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\
         \tb=dGhpcyBpcyBubyBzaWduYXR1cmUgYnV0IGl0IGlzIGFzIGxvbmcgYXMgb25lIGFuZCBub2JvZHkgY2hlY2tz\r\n\
         Message-ID: <b{number}@customer.example>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n\
         From: =?utf-8?q?J=C3=BCrgen_Customer?= <c{number}@customer.example>\r\nTo: Acme <care@acme.example>\r\n\
         Subject: {}\r\nMIME-Version: 1.0\r\n",
        subject(number)
    )
}

/// Between 2 and 3 kB: text and HTML, a quoted answer below.
fn typical(number: u32) -> Vec<u8> {
    let sentence = "The parcel was promised for Monday, and nobody answers the telephone. ";
    let text =
        format!("Hello,\r\n\r\norder {number} is late. {}\r\n\r\nRegards\r\nJ=C3=BCrgen\r\n", sentence.repeat(6));
    let quoted = "On Mon, 2 Mar 2026 at 08:00, Acme wrote:\r\n> Thank you for your order.\r\n> It is on its way.\r\n";
    let html = format!(
        "<html><body><p>Hello,</p><p>order <b>{number}</b> is late. {}</p><p>Regards<br>J=C3=BCrgen</p></body></html>\r\n",
        sentence.repeat(6)
    );
    let part = |kind: &str, body: &str| {
        format!(
            "--=-b\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{body}\r\n"
        )
    };
    let plain = part("plain", &format!("{text}\r\n{quoted}"));
    let head = head(number);
    format!(
        "{head}Content-Type: multipart/alternative; boundary=\"=-b\"\r\n\r\n{plain}{}--=-b--\r\n",
        part("html", &html)
    )
    .into_bytes()
}

/// A short text and one attachment in Base64.
fn with_attachment(bytes: usize) -> Vec<u8> {
    let head = head(1_000_000);
    let mut raw = format!(
        "{head}Content-Type: multipart/mixed; boundary=\"=-b\"\r\n\r\n--=-b\r\nContent-Type: text/plain\r\n\r\nSee the photo.\r\n\
         --=-b\r\nContent-Type: image/jpeg; name=photo.jpg\r\nContent-Disposition: attachment; filename=photo.jpg\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    let mut block = [0_u8; 57];
    let mut state = 1_u32;
    while raw.len() + 90 < bytes {
        for byte in &mut block {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        raw.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(block).as_bytes());
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"--=-b--\r\n");
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_are_as_large_as_they_should_be() {
        let size = typical(12_345).len();
        assert!((2_000..3_000).contains(&size), "{size}");
        let size = with_attachment(1_000_000).len();
        assert!((999_900..=1_000_000).contains(&size), "{size}");
    }
}

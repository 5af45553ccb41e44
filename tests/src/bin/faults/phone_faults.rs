//! What a hostile or clumsy sender does to the front door (F15), and the connector killed again and again under load (F12b).

use crate::{
    check,
    door::Door,
    report::Row,
    service_faults::{CLASSIFIER, PHONE},
    sink::SinkOptions,
    trial::Trial,
    world::World,
};
use anyhow::Result;
use outcry_runtime::CancellationToken;
use outcry_tests::{phone::PhoneFront, webhook::call_event};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const SLOW_SENDERS: usize = 500;
/// What an honest sender may wait at the 99th percentile.
const HONEST_P99: Duration = Duration::from_millis(250);
/// Longer than the deadlines of headers (5 s) and bodies (10 s) together.
const SPAN: Duration = Duration::from_secs(18);

/// F15.
pub async fn f15(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 1, 10);
    let front = PhoneFront::new()?;
    let what = "replayed, stale, forged webhooks; 500 senders that dribble";
    let mut trial = Trial::prepare(world, "F15", what, &front.sections()).await?;
    trial.pipeline.start(&[CLASSIFIER, PHONE]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let mut accepted = BTreeSet::new();
    let mut next = 1;
    for round in 1..=rounds {
        trial.progress(round, rounds, "honest senders alone");
        let (_, alone) = honest(&front, &mut next, Duration::from_secs(4), &mut accepted).await?;
        let (stop, closed) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        let mut slow = JoinSet::new();
        for number in 0..SLOW_SENDERS {
            slow.spawn(dribble(front.address(), number, stop.clone(), Arc::clone(&closed)));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        trial.progress(round, rounds, "500 senders that dribble");
        let (sent, among_them) = honest(&front, &mut next, SPAN, &mut accepted).await?;
        stop.cancel();
        slow.join_all().await;
        let closed = closed.load(Ordering::Relaxed);
        if among_them > HONEST_P99 {
            trial.row.problems.push(format!("p99 of honest senders {among_them:?} among the slow ones"));
        }
        if closed < SLOW_SENDERS as u64 {
            trial.row.problems.push(format!("only {closed} connections of slow senders were closed"));
        }
        trial.row.notes.push(format!(
            "p99 of {sent} honest webhooks {:.0} ms, without the slow senders {:.0} ms; {closed} slow connections closed",
            among_them.as_secs_f64() * 1000.0,
            alone.as_secs_f64() * 1000.0
        ));
        trial.progress(round, rounds, "replayed, stale and forged");
        lies(&front, &mut trial.row, next).await?;
    }
    trial.row.rounds = rounds;
    check::calls(&trial.pipeline, &accepted, &mut trial.row).await?;
    let believed = "SELECT count() FROM {db}.items WHERE channel = 'phone' AND call_id LIKE 'lie-%'";
    let believed = trial.pipeline.view().number(believed).await?;
    if believed > 0 {
        trial.row.problems.push(format!("{believed} forged or stale webhooks were stored"));
    }
    trial.finish(&[&sink]).await
}

/// Posts 100 a second, each time by the clock, whatever the answers take; how many, and the 99th percentile.
async fn honest(
    front: &PhoneFront,
    next: &mut u32,
    span: Duration,
    accepted: &mut BTreeSet<String>,
) -> Result<(usize, Duration)> {
    let (begun, mut posts) = (Instant::now(), JoinSet::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while begun.elapsed() < span {
        ticks.tick().await;
        let (front, number) = (front.clone(), *next);
        *next += 1;
        posts.spawn(async move {
            let at = Instant::now();
            (number, front.post_numbered(number).await, at.elapsed())
        });
    }
    let mut took = Vec::new();
    for (number, status, elapsed) in posts.join_all().await {
        if status? == 200 {
            accepted.insert(number.to_string());
        }
        took.push(elapsed);
    }
    took.sort();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    Ok((took.len(), p99))
}

/// Sends a byte now and then, of the headers or of the body, and comes again when it is thrown out.
async fn dribble(address: String, number: usize, stop: CancellationToken, closed: Arc<AtomicU64>) {
    let head: &[u8] = match number % 2 {
        0 => b"POST /hooks/main HTTP/1.1\r\nhost: x\r\nx-slow: ",
        _ => b"POST /hooks/main HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n",
    };
    let sending = async {
        loop {
            let Ok(mut stream) = TcpStream::connect(&address).await else { continue };
            if stream.write_all(head).await.is_err() {
                continue;
            }
            let mut answer = [0; 256];
            loop {
                match tokio::time::timeout(Duration::from_millis(700), stream.read(&mut answer)).await {
                    // Thrown out, with 408 or without.
                    Ok(_) => {
                        closed.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    Err(_) => {
                        let _ = stream.write_all(b"a").await;
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(sending).await;
}

/// What must be refused is, and what is repeated is accepted again and counts once.
async fn lies(front: &PhoneFront, row: &mut Row, next: u32) -> Result<()> {
    let mut wrong = 0;
    for number in 0..50_u32 {
        let event = call_event("answered", &format!("lie-{number}"), number, "2026-03-01T09:00:00Z");
        let forged = front.post_forged(&format!("forged-{number}"), &event).await?;
        let stale = front
            .post_signed_ago(&format!("stale-{number}"), &event, Duration::from_secs(301 + 60 * u64::from(number)))
            .await?;
        let replayed = front.post_numbered(1 + number % next.saturating_sub(1).max(1)).await?;
        wrong += [forged != 401, stale != 401, replayed != 200].into_iter().filter(|wrong| *wrong).count();
    }
    if wrong > 0 {
        row.problems.push(format!("{wrong} of 150 replayed, stale and forged webhooks got a wrong answer"));
    }
    Ok(())
}

/// F12b.
pub async fn f12b(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(4, 20, 100);
    let per_second = if cfg!(debug_assertions) { 100 } else { 500 };
    let front = PhoneFront::new()?;
    let what = "connector killed under 500 webhooks/s, broker down half of the time";
    let mut trial = Trial::prepare(world, "F12b", what, &front.sections()).await?;
    trial.pipeline.start(&[CLASSIFIER, PHONE]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let door = Door::open(&front, per_second);
    for round in 1..=rounds {
        // Down in the odd rounds, up in the even ones; a broker takes its time to come back, in which it is down as well.
        match round % 2 {
            1 => world.kafka()?.kill(),
            _ => world.kafka()?.restart().await?,
        }
        for _ in 0..2 {
            let pause = trial.random.milliseconds(500, 2500);
            tokio::time::sleep(pause).await;
        }
        trial.progress(round, rounds, &format!("connector killed; {} accepted so far", door.accepted()));
        let phone = trial.pipeline.service(PHONE);
        phone.kill();
        phone.start_again()?;
    }
    if rounds % 2 == 1 {
        world.kafka()?.restart().await?;
    }
    trial.pipeline.service(PHONE).wait_ready(Duration::from_secs(60)).await?;
    trial.row.rounds = rounds;
    let refused = door.refused();
    let accepted = door.close().await?;
    trial.row.notes.push(format!("{refused} webhooks were not answered 2xx and do not count as accepted"));
    check::calls(&trial.pipeline, &accepted, &mut trial.row).await?;
    trial.finish(&[&sink]).await
}

//! A mail server that misbehaves (F14), and a large mailbox whose reader is killed again and again (mailbox).

use crate::{
    report::Row,
    service_faults::CLASSIFIER,
    sink::SinkOptions,
    trial::{RECOVERY, Trial},
    world::World,
};
use anyhow::{Context, Result};
use outcry_sandbox::{Delivery, Dovecot, DovecotOptions, ImapFault, ScriptedImap};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Reads the mailbox.
const EMAIL: &str = "outcry-email-connector";
/// Mails that come in each round of F14.
const MAILS: u32 = 100;
/// What the connector may hold in memory: a mail of 100 MB may not be among it.
const CONNECTOR_MEMORY: u64 = 96_000_000;
const LITERAL: u64 = 100_000_000;
const IDS: &str = "SELECT mail_message_id FROM {db}.items WHERE channel = 'email'";

fn message(number: u32) -> Vec<u8> {
    let words = "It was promised for Monday, and nobody answers the telephone. ".repeat(number as usize % 30);
    format!(
        "Message-ID: <m{number}@customer.example>\r\nDate: Mon, 2 Mar 2026 09:{:02}:{:02} +0000\r\n\
         From: Customer {number} <c{number}@customer.example>\r\nTo: Acme <care@acme.example>\r\n\
         Subject: Order {number}\r\n\r\nParcel number {number} is late.\r\n{words}\r\n",
        number / 60 % 60,
        number % 60
    )
    .into_bytes()
}

fn id(number: u32) -> String {
    format!("m{number}@customer.example")
}

fn section(settings: &str) -> String {
    format!("\n[[email.mailboxes]]\nname = \"support\"\nbrand = \"acme\"\n{settings}\n")
}

/// What goes wrong in a round.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    CutInFetch,
    Garbage,
    UidvalidityChange,
    ExistsRace,
    Expunge,
    Literal,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::CutInFetch,
    Trouble::Garbage,
    Trouble::UidvalidityChange,
    Trouble::ExistsRace,
    Trouble::Expunge,
    Trouble::Literal,
];

/// The server, and what it was sent.
struct Post {
    server: ScriptedImap,
    ledger: BTreeSet<String>,
    number: u32,
    uidvalidity: u32,
    large: u64,
}

impl Post {
    fn next(&mut self) -> (u32, Vec<u8>) {
        self.number += 1;
        self.ledger.insert(id(self.number));
        let uid = self.server.uids().last().copied().unwrap_or(0) + 1;
        (uid, message(self.number))
    }

    /// So many mails arrive; gives their UIDs.
    fn arrive(&mut self, count: u32) -> Vec<u32> {
        let one = |_| {
            let (uid, raw) = self.next();
            self.server.arrive(uid, raw);
            uid
        };
        (0..count).map(one).collect()
    }

    /// Mails arrive, and something goes wrong with them.
    fn trouble(&mut self, trouble: Trouble, trial: &mut Trial<'_>) {
        let next = self.server.uids().last().copied().unwrap_or(0) + 1;
        let victim = next + u32::try_from(trial.random.below(u64::from(MAILS))).unwrap_or(0);
        let times = 1 + u32::try_from(trial.random.below(2)).unwrap_or(0);
        match trouble {
            Trouble::CutInFetch => self.server.fault(victim, ImapFault::CutInBody(times)),
            Trouble::Garbage => self.server.fault(victim, ImapFault::Garbage(times)),
            Trouble::Literal => {
                self.large += 1;
                let told = trial.random.below(2) == 0;
                self.server.fault(victim, ImapFault::Padded { bytes: LITERAL, told });
            }
            Trouble::UidvalidityChange => {
                self.uidvalidity += 1;
                self.server.renumber(self.uidvalidity, 1);
                self.server.cut();
            }
            Trouble::ExistsRace => {
                let (uid, raw) = self.next();
                // Its UID is above those that arrive now.
                self.server.arrives_during_fetch(uid + MAILS, raw);
            }
            Trouble::Expunge => {
                // They were read, and are no less a contact for being gone.
                let uids = self.server.uids();
                for _ in 0..20.min(uids.len()) {
                    self.server.expunge(*trial.random.pick(&uids));
                }
            }
        }
        self.arrive(MAILS);
    }
}

/// F14.
pub async fn f14(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(6, 30, 500);
    let server = ScriptedImap::start([]).await?;
    let settings = server.settings("sweep_interval_seconds = 2\npoll_interval_seconds = 2\n");
    let mut trial = Trial::prepare(world, "F14", "a mail server that misbehaves", &section(&settings)).await?;
    trial.pipeline.start(&[CLASSIFIER, EMAIL]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let mut post = Post { server, ledger: BTreeSet::new(), number: 0, uidvalidity: 1, large: 0 };
    post.arrive(MAILS);
    for round in 1..=rounds {
        let trouble = TROUBLES[usize::try_from(round - 1).unwrap_or(0) % TROUBLES.len()];
        trial.progress(round, rounds, &format!("{trouble:?}, {} mails so far", post.ledger.len()));
        post.trouble(trouble, &mut trial);
        // Half of the rounds meet the trouble of the one before.
        if round % 2 == 0 {
            settled(&mut trial, &post.ledger, RECOVERY).await?;
        }
    }
    settled(&mut trial, &post.ledger, RECOVERY).await?;
    trial.row.rounds = rounds;
    // A mail that was read again under another UIDVALIDITY is refused again.
    let letters = "SELECT count() FROM {db}.stored_dead_letters FINAL WHERE reason = 'too_large'";
    let told = trial.pipeline.number(letters).await?;
    if told < post.large {
        trial.row.problems.push(format!("{} mails of 100 MB, and {told} dead letters", post.large));
    }
    let peak = trial.pipeline.service(EMAIL).usage()?.peak_rss_bytes;
    if peak > CONNECTOR_MEMORY {
        trial.row.problems.push(format!("I8: the connector held {} MB", peak / 1_000_000));
    }
    trial.row.notes.push(format!("{} mails of 100 MB; the connector held {} MB", post.large, peak / 1_000_000));
    concluded(trial, &post.ledger).await
}

/// 20,000 mails in a real Dovecot, the connector killed 20 times while it reads them.
pub async fn mailbox(world: &World) -> Result<Row> {
    let (mails, kills) = (world.rounds.of(2_000, 20_000, 20_000), world.rounds.of(4, 20, 200));
    let folder = tempfile::tempdir().context("making a folder for Dovecot")?;
    let dovecot = Dovecot::start(folder.path(), DovecotOptions::default()).await?;
    dovecot.deliver(
        "care",
        "INBOX",
        (1..=mails).map(|number| Delivery { raw: message(number), internal_date: None }),
    )?;
    let settings = format!(
        "host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"care\"\npassword = \"{}\"\n",
        dovecot.port(),
        dovecot.password()
    );
    let what = "a mailbox whose reader is killed";
    let mut trial = Trial::prepare(world, "mailbox", what, &section(&settings)).await?;
    trial.pipeline.start(&[CLASSIFIER]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.pipeline.launch(EMAIL)?;
    let connector = |trial: &Trial<'_>| -> Result<()> {
        let service = trial.pipeline.service(EMAIL);
        service.kill();
        service.start_again()
    };
    let mut unfinished = 0;
    for kill in 1..=kills {
        // A start takes half a second, the whole mailbox some more: most of the kills come while it is read.
        let pause = trial.random.milliseconds(300, 1_200);
        tokio::time::sleep(pause).await;
        let stored = trial.pipeline.number("SELECT count() FROM {db}.stored_items").await?;
        unfinished += u64::from(stored < u64::from(mails));
        trial.progress(kill, kills, &format!("connector killed with {stored} of {mails} stored"));
        connector(&trial)?;
    }
    let ledger = (1..=mails).map(id).collect();
    settled(&mut trial, &ledger, RECOVERY * 3).await?;
    trial.pipeline.service(EMAIL).wait_ready(RECOVERY).await?;
    trial.row.rounds = kills;
    trial.row.notes.push(format!("{unfinished} of the kills came before everything was stored"));
    let row = concluded(trial, &ledger).await;
    dovecot.stop().await;
    row
}

/// Waits until every mail is in the view; what takes longer is a problem of the row.
async fn settled(trial: &mut Trial<'_>, ledger: &BTreeSet<String>, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    let missing = loop {
        let found: BTreeSet<String> = trial.pipeline.ask_as("migrator", IDS).await?.into_iter().collect();
        let missing = ledger.difference(&found).count();
        if missing == 0 || begun.elapsed() > patience {
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    trial.row.heal_seconds = trial.row.heal_seconds.max(begun.elapsed().as_secs_f64());
    if missing > 0 {
        trial.row.problems.push(format!("I7: {missing} mails are not in the view after {patience:?}"));
        eprintln!("{}", trial.pipeline.last_words().await);
    }
    trial.check_commits().await
}

/// Every mail is one item and one contact, nothing was written twice, and coverage shows no gap.
async fn concluded(mut trial: Trial<'_>, ledger: &BTreeSet<String>) -> Result<Row> {
    let found = trial.pipeline.ask_as("migrator", IDS).await?;
    let found = outcry_tests::difference(ledger, found);
    let row = &mut trial.row;
    row.acknowledged = ledger.len() as u64;
    (row.lost, row.doubled) = (found.lost.len() as u64, found.doubled.len() as u64);
    if !found.is_none() {
        row.notes.push(found.to_string());
    }
    let contacts = trial.pipeline.number("SELECT count() FROM {db}.contacts WHERE channel = 'email'").await?;
    if contacts != ledger.len() as u64 {
        row.problems.push(format!("{} mails are {contacts} contacts", ledger.len()));
    }
    let gaps = trial.pipeline.number("SELECT sum(missing) FROM {db}.coverage").await?;
    if gaps > 0 {
        row.problems.push(format!("coverage shows {gaps} mails as missing"));
    }
    let twice = "SELECT count() - uniqExact(kafka_epoch, kafka_partition, kafka_offset) FROM {db}.stored_items";
    row.physical_duplicates = trial.pipeline.number(twice).await?;
    Ok(trial.row)
}

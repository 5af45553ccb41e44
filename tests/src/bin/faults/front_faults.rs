//! The connectors that ask their sources, killed while mail and mentions come in: a part of F3.

use crate::{
    report::Row,
    service_faults::KILLED,
    sink::SinkOptions,
    trial::{RECOVERY, Trial},
    world::World,
};
use anyhow::Result;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use outcry_runtime::CancellationToken;
use outcry_sandbox::{Delivery, Dovecot, DovecotOptions, MastodonOptions, MastodonServer, NewStatus};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Reads mailboxes.
const EMAIL: &str = "outcry-email-connector";
/// Reads mentions.
const SOCIAL: &str = "outcry-social-connector";
const MAILBOX: &str = "care";
const TOKEN: &str = "token of the faults";
/// Between two mails, and between two mentions.
const PACE: Duration = Duration::from_millis(60);

/// Both connectors, so many times each.
pub async fn connectors_killed(world: &World, rounds: u64) -> Result<Row> {
    let dovecot = Dovecot::start(&world.stack.data_dir().join("dovecot"), DovecotOptions::default()).await?;
    let mastodon = MastodonServer::start(MastodonOptions { token: TOKEN.into(), ..MastodonOptions::default() })?;
    let mut trial = Trial::prepare(world, "F3", KILLED, &sections(&dovecot, &mastodon)).await?;
    trial.pipeline.start(&["outcry-classifier", EMAIL, SOCIAL]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let stop = CancellationToken::new();
    let kills = async {
        for round in 1..=rounds {
            for service in [EMAIL, SOCIAL] {
                let pause = trial.random.milliseconds(200, 1500);
                tokio::time::sleep(pause).await;
                trial.progress(round, rounds, service);
                trial.pipeline.kill_and_start_again(service).await?;
            }
        }
        stop.cancel();
        anyhow::Ok(())
    };
    let (killed, mails, mentions) = tokio::join!(kills, send_mails(&dovecot, &stop), mention(&mastodon, &stop));
    killed?;
    let begun = Instant::now();
    for (source, key, ledger) in
        [("email:support", "mail_message_id", mails?), ("social:mastodon-acme", "post_uri", mentions)]
    {
        let view = format!("SELECT {key} FROM {{db}}.items WHERE source = '{source}'");
        let found = trial.pipeline.compare(&ledger, &view, RECOVERY).await?;
        trial.row.acknowledged += ledger.len() as u64;
        trial.row.lost += found.lost.len() as u64;
        trial.row.doubled += found.doubled.len() as u64;
        if !found.is_none() {
            trial.row.notes.push(format!("{source}: {found}"));
        }
    }
    trial.row.heal_seconds = begun.elapsed().as_secs_f64();
    trial.row.rounds = rounds * 2;
    trial.finish(&[&sink]).await
}

/// Mails that lie in the mailbox, by Message-ID.
async fn send_mails(dovecot: &Dovecot, stop: &CancellationToken) -> Result<BTreeSet<String>> {
    let mut sent = BTreeSet::new();
    while !stop.is_cancelled() {
        let id = format!("{}@customer.example", sent.len());
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
        let raw = format!(
            "Message-ID: <{id}>\r\nDate: {date}\r\nFrom: Ana <ana@customer.example>\r\nTo: Acme <care@acme.example>\r\n\
             Subject: Where is it?\r\n\r\nThe parcel number {} has not arrived. Please answer.\r\n",
            sent.len()
        );
        let mail = Delivery { raw: raw.into_bytes(), internal_date: None };
        dovecot.deliver(MAILBOX, "INBOX", [mail])?;
        sent.insert(id);
        tokio::time::sleep(PACE).await;
    }
    Ok(sent)
}

/// Mentions that the server shows, by URI.
async fn mention(mastodon: &MastodonServer, stop: &CancellationToken) -> BTreeSet<String> {
    let base = mastodon.base_url().to_owned();
    let numbers = stream::iter(0_u64..).take_until(stop.cancelled());
    let posted = numbers.then(|number| {
        let status = NewStatus::new(&format!("c{number}"), "My order is late again, where is it?", Timestamp::now());
        let uri = format!("{base}/users/c{number}/statuses/{}", mastodon.add_mention(status));
        async move {
            tokio::time::sleep(PACE).await;
            uri
        }
    });
    posted.collect().await
}

fn sections(dovecot: &Dovecot, mastodon: &MastodonServer) -> String {
    format!(
        r#"
[[email.mailboxes]]
name = "support"
brand = "acme"
host = "127.0.0.1"
port = {}
tls = "none"
username = "{MAILBOX}"
password = "{}"
folders = ["INBOX"]
sent_folders = []

[social]
poll_interval_seconds = 1
recheck_interval_seconds = 0

[[social.accounts]]
name = "mastodon-acme"
brand = "acme"
network = "mastodon"
base_url = "{}"
token = "{TOKEN}"
"#,
        dovecot.port(),
        dovecot.password(),
        mastodon.base_url()
    )
}

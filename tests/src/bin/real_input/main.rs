//! The main job on real input: 1,000 raw mails in a real Dovecot and 5,000 real tweets behind the Mastodon API, through the
//! real binaries into ClickHouse, then compared with what stands in the files.
//!
//! `cargo run --release -p outcry-tests --bin real_input -- --data ../shared/data`. It ends with 0 when every mail and tweet is
//! stored or in dead letters with a reason, none is twice in `contacts`, and the response times of the social channel are
//! those that a direct computation on the CSV gives. The data are no part of the project, so CI does not run it.

mod compare;
mod mail;
mod tweets;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use compare::Verdict;
use outcry_sandbox::{MastodonOptions, MastodonServer, Stack, StackOptions};
use outcry_tests::Pipeline;
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Runs real input through the pipeline and compares.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder that holds `email_raw/spamassassin` and `twcs_sample`.
    #[arg(long)]
    data: PathBuf,
    /// How many mails, in the order of their file names.
    #[arg(long, default_value_t = 1_000)]
    mails: usize,
    /// What to run; everything if it is not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Give up after this many seconds.
    #[arg(long, default_value_t = 300)]
    patience_seconds: u64,
}

/// A kind of real input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `email_raw/spamassassin`.
    Mail,
    /// `twcs_sample`.
    Tweets,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("real_input: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    if !arguments.data.is_dir() {
        bail!("--data {} is not a folder", arguments.data.display());
    }
    eprintln!("real_input: starting Kafka, ClickHouse, Dovecot and the Mastodon server");
    let stack = Stack::start(StackOptions::default().with_dovecot()).await?;
    let mut sections = String::new();
    let mut services = vec!["outcry-classifier", "outcry-sink"];
    let mut mastodon = None;
    let mut verdicts = Vec::new();
    if arguments.wants(Part::Mail) {
        let folder = arguments.data.join("email_raw/spamassassin");
        let delivered = mail::deliver(stack.dovecot()?, &folder, arguments.mails)?;
        eprintln!("real_input: Dovecot holds {delivered} mails");
        sections.push_str(&mail::sections(stack.dovecot()?));
        services.push("outcry-email-connector");
    }
    let mut sample = None;
    if arguments.wants(Part::Tweets) {
        let tweets = tweets::read(&arguments.data.join("twcs_sample/twcs_sample.csv"))?;
        let server = MastodonServer::start(MastodonOptions::default())?;
        let posted = tweets::post(&server, &tweets)?;
        eprintln!("real_input: the Mastodon server has {} posts", posted.len());
        sections.push_str(&tweets::sections(&server));
        services.push("outcry-social-connector");
        sample = Some((tweets, posted));
        mastodon = Some(server);
    }
    let mut pipeline = Pipeline::prepare(&stack, &sections).await?;
    let begun = Instant::now();
    pipeline.start(&services).await.context("starting the services")?;
    if arguments.wants(Part::Mail) {
        let ledger = mail::ledger(stack.dovecot()?).await?;
        verdicts.push(compare::mail(&pipeline, &ledger, arguments.patience()).await?);
    }
    if let Some((tweets, posted)) = &sample {
        verdicts.push(compare::posts(&pipeline, posted, arguments.patience()).await?);
        verdicts.push(compare::response_times(&pipeline, tweets, posted).await?);
    }
    eprintln!("real_input: compared {:.1} s after the services were started", begun.elapsed().as_secs_f64());
    verdicts.iter().for_each(|verdict| print!("{verdict}"));
    drop(pipeline);
    drop(mastodon);
    stack.stop().await;
    Ok(verdicts.iter().all(Verdict::holds))
}

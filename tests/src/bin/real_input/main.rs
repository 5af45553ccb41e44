//! The main job on real input: every raw mail through the parser; 1,000 of them in a real Dovecot and 5,000 real tweets behind
//! the Mastodon API, through `outcry up` into ClickHouse, then compared with what stands in the files; and every payload and
//! signature vector of telephone providers through the phone connector.
//!
//! `cargo run --release -p outcry-tests --bin real_input -- --data ../shared/data`. It ends with 0 when every mail and tweet is
//! stored or in dead letters with a reason, none is twice in `contacts`, and the response times of the social channel are
//! those that a direct computation on the CSV gives. The data are no part of the project, so CI does not run it.

mod compare;
mod mail;
mod parsed;
mod phone;
mod tweets;
mod up;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use compare::Verdict;
use outcry_sandbox::{Dovecot, DovecotOptions, MastodonOptions, MastodonServer};
use outcry_tests::binary;
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};
use up::Up;

const BRAND: &str = "[[brands]]\nid = \"acme\"\nname = \"Acme\"\nown_domains = [\"acme.example\"]\n";

/// Runs real input through the pipeline and compares.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder that holds `email_raw` and `twcs_sample`.
    #[arg(long)]
    data: PathBuf,
    /// The folder with the providers' payloads; by default `../reference/providers` beside the data.
    #[arg(long)]
    providers: Option<PathBuf>,
    /// How many mails, in the order of their file names.
    #[arg(long, default_value_t = 1_000)]
    mails: usize,
    /// What to run; everything if it is not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Give up after this many seconds.
    #[arg(long, default_value_t = 300)]
    patience_seconds: u64,
    /// Use the binary as it is instead of building it first.
    #[arg(long)]
    no_build: bool,
}

/// A kind of real input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every file of `email_raw` through `outcry parse-email`, and what other parsers' tests expect of them.
    Parse,
    /// `email_raw/spamassassin`, through the whole pipeline.
    Mail,
    /// `twcs_sample`.
    Tweets,
    /// The payloads and signatures of telephone providers.
    Phone,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn providers(&self) -> PathBuf {
        self.providers.clone().unwrap_or_else(|| self.data.join("../reference/providers"))
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
    if !arguments.no_build {
        binary::build(&["outcry"])?;
    }
    let mut verdicts = Vec::new();
    if arguments.wants(Part::Parse) {
        verdicts.push(parsed::compare(&arguments.data.join("email_raw"))?);
    }
    if [Part::Mail, Part::Tweets, Part::Phone].into_iter().any(|part| arguments.wants(part)) {
        pipeline(arguments, &mut verdicts).await?;
    }
    verdicts.iter().for_each(|verdict| print!("{verdict}"));
    Ok(verdicts.iter().all(Verdict::holds))
}

/// Mail, tweets and calls through `outcry up`.
async fn pipeline(arguments: &Arguments, verdicts: &mut Vec<Verdict>) -> Result<()> {
    let folder = tempfile::tempdir().context("making a folder for the data")?;
    let mut sections = BRAND.to_owned();
    let mut mailbox = None;
    if arguments.wants(Part::Mail) {
        let dovecot = Dovecot::start(&folder.path().join("mailbox"), DovecotOptions::default()).await?;
        let mails = arguments.data.join("email_raw/spamassassin");
        eprintln!("real_input: Dovecot holds {} mails", mail::deliver(&dovecot, &mails, arguments.mails)?);
        sections.push_str(&mail::sections(&dovecot));
        mailbox = Some(dovecot);
    }
    let mut sample = None;
    if arguments.wants(Part::Tweets) {
        let tweets = tweets::read(&arguments.data.join("twcs_sample/twcs_sample.csv"))?;
        let server = MastodonServer::start(MastodonOptions::default())?;
        let posted = tweets::post(&server, &tweets)?;
        eprintln!("real_input: the Mastodon server has {} posts", posted.len());
        sections.push_str(&tweets::sections(&server));
        sample = Some((server, tweets, posted));
    }
    let mut telephones = None;
    if arguments.wants(Part::Phone) {
        let phone = phone::Phone::read(&arguments.providers())?;
        eprintln!("real_input: {} payloads of telephone providers", phone.count());
        sections.push_str(&phone.sections());
        telephones = Some(phone);
    }
    eprintln!("real_input: outcry up");
    let begun = Instant::now();
    let up = Up::start(folder.path(), &sections).await?;
    if let Some(dovecot) = &mailbox {
        let ledger = mail::ledger(dovecot).await?;
        verdicts.push(compare::mail(&up, &ledger, arguments.patience()).await?);
    }
    if let Some((_, tweets, posted)) = &sample {
        verdicts.push(compare::posts(&up, posted, arguments.patience()).await?);
        verdicts.push(compare::response_times(&up, tweets, posted).await?);
    }
    if let Some(phone) = &telephones {
        verdicts.push(phone::vectors(&arguments.providers())?);
        verdicts.push(phone.compare(&up, arguments.patience()).await?);
    }
    eprintln!("real_input: compared {:.1} s after the start", begun.elapsed().as_secs_f64());
    up.stop().await
}

//! What an analyst sees against what the files say.

use crate::{
    tweets::{self, ResponseTimes, Tweet},
    up::Up,
};
use anyhow::{Context, Result, ensure};
use outcry_tests::difference;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    time::{Duration, Instant},
};

/// Lines that were compared, and whether all of them hold.
#[derive(Debug)]
pub struct Verdict {
    title: &'static str,
    lines: Vec<(bool, String)>,
}

impl Verdict {
    /// Nothing compared yet.
    pub fn new(title: &'static str) -> Self {
        Self { title, lines: Vec::new() }
    }

    /// One comparison.
    pub fn check(&mut self, holds: bool, line: impl Into<String>) {
        self.lines.push((holds, line.into()));
    }

    /// What is worth knowing.
    pub fn note(&mut self, line: impl Into<String>) {
        self.check(true, line);
    }

    /// `true` when nothing differs.
    pub fn holds(&self) -> bool {
        self.lines.iter().all(|(holds, _)| *holds)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.lines.iter().try_for_each(|(holds, line)| writeln!(f, "  {} {line}", if *holds { "ok  " } else { "FAIL" }))
    }
}

/// Every mail is stored or in dead letters, none twice.
pub async fn mail(up: &Up, ledger: &BTreeSet<String>, patience: Duration) -> Result<Verdict> {
    let view = "SELECT origin_raw_sha256 FROM {db}.items WHERE channel = 'email'";
    let refused = "SELECT DISTINCT lower(hex(SHA256(payload))) FROM {db}.stored_dead_letters";
    let mut verdict = Verdict::new("mail");
    verdict.note(format!("{} different messages in the mailbox", ledger.len()));
    stored_or_refused(&mut verdict, up, ledger, (view, refused), patience).await?;
    contacts(&mut verdict, up, "email").await?;
    Ok(verdict)
}

/// Every tweet is stored or in dead letters, none twice.
pub async fn posts(up: &Up, posted: &BTreeMap<u64, String>, patience: Duration) -> Result<Verdict> {
    let view = "SELECT post_uri FROM {db}.items WHERE channel = 'social'";
    let refused = "SELECT DISTINCT JSONExtractString(payload, 'uri') FROM {db}.stored_dead_letters";
    let mut verdict = Verdict::new("tweets");
    let ledger = posted.values().cloned().collect();
    stored_or_refused(&mut verdict, up, &ledger, (view, refused), patience).await?;
    contacts(&mut verdict, up, "social").await?;
    let counted = up.view().number("SELECT count() FROM {db}.contacts WHERE channel = 'social'").await?;
    verdict.check(counted == posted.len() as u64, format!("{counted} contacts of {} tweets", posted.len()));
    Ok(verdict)
}

async fn stored_or_refused(
    verdict: &mut Verdict,
    up: &Up,
    ledger: &BTreeSet<String>,
    (view, refused): (&str, &str),
    patience: Duration,
) -> Result<()> {
    let begun = Instant::now();
    let found = loop {
        up.check_runs()?;
        let refused: BTreeSet<String> = up.view().ask_as("migrator", refused).await?.into_iter().collect();
        let seen = difference(ledger, up.view().ask(view).await?);
        let missing = seen.lost.iter().filter(|key| !refused.contains(*key)).count();
        if missing == 0 || begun.elapsed() > patience {
            break (seen, missing, refused.intersection(ledger).count());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (seen, missing, refused) = found;
    verdict.check(
        missing == 0,
        format!("{} stored, {refused} in dead letters, {missing} lost", ledger.len() - seen.lost.len()),
    );
    verdict.check(seen.doubled.is_empty(), format!("{} doubled among items", seen.doubled.len()));
    verdict.check(
        seen.unexpected.is_empty(),
        format!("{} never sent: {:?}", seen.unexpected.len(), seen.unexpected.first()),
    );
    let reasons = "SELECT reason, count() FROM {db}.dead_letters GROUP BY reason ORDER BY reason";
    for reason in up.view().ask(reasons).await? {
        verdict.note(format!("dead letters: {}", reason.replace('\t', " ")));
    }
    let without = up.view().number("SELECT count() FROM {db}.dead_letters WHERE reason = ''").await?;
    verdict.check(without == 0, format!("{without} dead letters without a reason"));
    Ok(())
}

async fn contacts(verdict: &mut Verdict, up: &Up, channel: &str) -> Result<()> {
    let of_channel = |what: &str| format!("SELECT {what} FROM {{db}}.contacts WHERE channel = '{channel}'");
    let rows = up.view().number(&of_channel("count()")).await?;
    let distinct = up.view().number(&of_channel("uniqExact(contact_id)")).await?;
    verdict.check(rows == distinct, format!("{rows} rows in contacts, {distinct} different contacts"));
    Ok(())
}

/// The report on the social channel against the CSV.
pub async fn response_times(up: &Up, tweets: &[Tweet], posted: &BTreeMap<u64, String>) -> Result<Verdict> {
    let mut verdict = Verdict::new("response times of the social channel");
    let spam = judged_spam(up, tweets, posted).await?;
    let all = tweets::response_times(tweets, &HashSet::new()).context("no tweet of the CSV was answered")?;
    verdict.note(format!(
        "the CSV alone: {} cases, {} answered, median {} s",
        all.cases, all.answered, all.median_seconds
    ));
    verdict.note(format!("{} inbound tweets were judged spam and open no case, here and there: {spam:?}", spam.len()));
    let expected = tweets::response_times(tweets, &spam).context("no tweet of the CSV was answered")?;
    let row = up.query("response-times", "social").await?;
    let mut compare = |column: &str, expected: f64| -> Result<()> {
        let found = row[column].as_f64().or_else(|| row[column].as_str()?.parse().ok());
        let found = found.with_context(|| format!("the report has no number in {column}: {row}"))?;
        // The report rounds to milliseconds.
        verdict.check((found - expected).abs() <= 0.001, format!("{column}: report {found}, CSV {expected:.3}"));
        Ok(())
    };
    let ResponseTimes { cases, answered, median_seconds, p90_seconds, p95_seconds, mean_seconds } = expected;
    compare("cases", cases as f64)?;
    compare("answered", answered as f64)?;
    compare("median_seconds", median_seconds)?;
    compare("p90_seconds", p90_seconds)?;
    compare("p95_seconds", p95_seconds)?;
    compare("mean_seconds", mean_seconds)?;
    Ok(verdict)
}

/// The classifier may judge a tweet to be spam; what it judged is an input of this comparison, not its subject.
async fn judged_spam(up: &Up, tweets: &[Tweet], posted: &BTreeMap<u64, String>) -> Result<HashSet<u64>> {
    let question = "SELECT post_uri FROM {db}.items WHERE channel = 'social' AND direction = 'inbound' AND kind IN ('spam', 'own')";
    let uris: HashSet<String> = up.view().ask(question).await?.into_iter().collect();
    let spam: HashSet<u64> = posted.iter().filter(|(_, uri)| uris.contains(*uri)).map(|(id, _)| *id).collect();
    let inbound: HashSet<u64> = tweets.iter().filter(|tweet| tweet.inbound).map(|tweet| tweet.id).collect();
    ensure!(spam.is_subset(&inbound), "a company's tweet was stored as inbound");
    Ok(spam)
}

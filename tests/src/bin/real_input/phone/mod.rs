//! Payloads of telephone providers, as their documents, libraries and captured requests have them: each is posted to the real connector
//! under the provider's own proof, and what is stored is compared with what the payload says. Each is posted again with a byte changed,
//! which must be refused; every published signature vector is verified, and refused after any change of a byte.

mod expected;
mod payloads;
mod sign;
mod vectors;

pub use vectors::run as vectors;

use crate::{compare::Verdict, up::Up};
use anyhow::{Context, Result};
use expected::Facts;
use outcry_sandbox::ports::free_port;
use payloads::Payload;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sign::{Keys, Request};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

/// The address that providers are told.
const PUBLIC_URL: &str = "https://hooks.acme.example/outcry";

/// The payloads, and where to post them.
pub struct Phone {
    port: u16,
    keys: Keys,
    payloads: Vec<Payload>,
}

impl Phone {
    /// Reads a folder with one folder for each provider.
    pub fn read(folder: &Path) -> Result<Self> {
        let payloads = payloads::read(folder)?;
        let keys = Keys::new(payloads.iter().filter_map(|payload| payload.token.clone()));
        Ok(Self { port: free_port()?, keys, payloads })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.payloads.len()
    }

    /// The configuration.
    pub fn sections(&self) -> String {
        let mut sections = format!("\n[phone]\nlisten = \"127.0.0.1:{}\"\npublic_url = \"{PUBLIC_URL}\"\n", self.port);
        for provider in payloads::PROVIDERS {
            let secrets = self.keys.secrets(provider);
            sections += &format!(
                "\n[[phone.accounts]]\nname = \"{provider}\"\nbrand = \"acme\"\nprovider = \"{provider}\"\nsecrets = {secrets:?}\n"
            );
        }
        sections
    }

    /// Posts everything and compares.
    pub async fn compare(&self, up: &Up, patience: Duration) -> Result<Verdict> {
        let mut verdict = Verdict::new("phone");
        let client = outcry_tests::binary::client()?;
        self.until_open(up, &client, patience).await?;
        let (mut accepted, mut changed) = (0, 0);
        for payload in &self.payloads {
            let request = self.keys.sign(payload, PUBLIC_URL);
            for forged in sign::one_byte_changed(&request) {
                changed += 1;
                let status = self.post(&client, &forged).await?;
                if status != 401 {
                    verdict.check(false, format!("{}: one byte changed ({}): {status}", payload.name, forged.what));
                }
            }
            let status = self.post(&client, &request).await?;
            if status == 200 {
                accepted += 1;
            } else {
                verdict.check(false, format!("{}: {status}", payload.name));
            }
        }
        verdict.check(accepted == self.count(), format!("{accepted} of {} payloads accepted", self.count()));
        verdict.note(format!("{changed} requests with one byte changed were posted"));
        let mut expected: BTreeMap<String, Vec<Facts>> = BTreeMap::new();
        for payload in &self.payloads {
            let digest = hex(&Sha256::digest(payload.said()));
            expected.insert(format!("{} {digest}", payload.provider), expected::of(payload)?);
        }
        let names: BTreeMap<String, &str> = self
            .payloads
            .iter()
            .map(|payload| {
                (format!("{} {}", payload.provider, hex(&Sha256::digest(payload.said()))), payload.name.as_str())
            })
            .collect();
        let wanted: usize = expected.values().map(Vec::len).sum();
        let stored = wait(up, wanted, patience).await?;
        let mut asserted = 0;
        for (key, facts) in &expected {
            let rows = stored.get(key).map(Vec::as_slice).unwrap_or_default();
            for fact in facts {
                asserted += fact.0.len();
                // Two files may tell the same event of the same call; then the later one stands.
                let told_twice = || stored.values().flatten().find(|row| fact.differences(row).is_empty());
                let rows = rows.iter().chain(if rows.is_empty() { told_twice() } else { None });
                let differences = rows.map(|row| fact.differences(row));
                match differences.min_by_key(Vec::len) {
                    None => verdict.check(false, format!("{}: nothing is stored of {}", names[key], fact.summary())),
                    Some(differing) if !differing.is_empty() => {
                        verdict.check(false, format!("{}: {}", names[key], differing.join("; ")));
                    }
                    Some(_) => {}
                }
            }
        }
        verdict.check(true, format!("{asserted} facts of {wanted} events compared"));
        calls(up, &mut verdict).await?;
        Ok(verdict)
    }

    async fn until_open(&self, up: &Up, client: &reqwest::Client, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            up.check_runs()?;
            match client.get(format!("http://127.0.0.1:{}/", self.port)).send().await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > patience => return Err(error).context("the connector does not listen"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn post(&self, client: &reqwest::Client, request: &Request) -> Result<u16> {
        let url = format!("http://127.0.0.1:{}{}", self.port, request.target);
        let method = if request.get { reqwest::Method::GET } else { reqwest::Method::POST };
        let mut sending = client.request(method, url);
        for (name, value) in &request.headers {
            sending = sending.header(name, value);
        }
        Ok(sending.body(request.body.clone()).send().await.context("posting a payload")?.status().as_u16())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rows by provider and digest of what was posted, once there are `wanted` or no more come.
async fn wait(up: &Up, wanted: usize, patience: Duration) -> Result<BTreeMap<String, Vec<Value>>> {
    let question = "SELECT provider, direction, occurred_at, toUnixTimestamp64Milli(occurred_at) AS occurred_ms, call_id, call_leg_id, \
        toString(call_event) AS call_event, call_provider_event, call_from, call_to, call_queue, call_agent, call_ivr_choice, call_cause, \
        call_recording_url, call_transcript, text, call_duration_ms, call_talk_ms, call_wait_ms, call_abandoned, \
        toUnixTimestamp64Milli(call_answered_at) AS answered_ms, toUnixTimestamp64Milli(call_ended_at) AS ended_ms, \
        toUnixTimestamp64Milli(call_started_at) AS started_ms, origin_raw_sha256 \
        FROM {db}.stored_items FINAL WHERE channel = 'phone' \
        SETTINGS output_format_json_quote_64bit_integers = 0 FORMAT JSONEachRow";
    let begun = Instant::now();
    let (mut before, mut quiet) = (0, 0);
    loop {
        up.check_runs()?;
        let rows = up.view().ask_as("migrator", question).await?;
        quiet = if rows.len() == before { quiet + 1 } else { 0 };
        before = rows.len();
        if rows.len() >= wanted || quiet > 20 || begun.elapsed() > patience {
            let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for row in rows {
                let row: Value = serde_json::from_str(&row).context("reading a stored item")?;
                let key = format!(
                    "{} {}",
                    row["provider"].as_str().unwrap_or_default(),
                    row["origin_raw_sha256"].as_str().unwrap_or_default()
                );
                found.entry(key).or_default().push(row);
            }
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// One row for each call, and no sums that cannot be.
async fn calls(up: &Up, verdict: &mut Verdict) -> Result<()> {
    let distinct = up
        .view()
        .ask_as("migrator", "SELECT DISTINCT provider, call_id FROM {db}.stored_items WHERE channel = 'phone'")
        .await?;
    let rows = up.view().ask("SELECT provider, call_id FROM {db}.calls").await?;
    let (rows, distinct): (Vec<_>, BTreeSet<_>) = (rows, distinct.into_iter().collect());
    let same = rows.len() == distinct.len() && rows.iter().all(|row| distinct.contains(row));
    verdict.check(same, format!("{} rows in calls, {} different calls", rows.len(), distinct.len()));
    let impossible = up
        .view()
        .number("SELECT count() FROM {db}.calls WHERE (abandoned AND answered_at IS NOT NULL) OR answered_at > ended_at OR started_at > ended_at")
        .await?;
    verdict.check(impossible == 0, format!("{impossible} calls that cannot be"));
    Ok(())
}

//! What was sent against what can be queried, by identity and not by count.

use crate::sample::{BRAND_ID, DOMAIN, Expect, Sample};
use outcry_domain::ItemId;
use outcry_warehouse::{Table, Warehouse};
use std::collections::BTreeSet;

/// What must be found.
pub struct Ledger {
    mails: BTreeSet<String>,
    calls: BTreeSet<String>,
    call_events: usize,
    posts: BTreeSet<String>,
    post_versions: usize,
    dead_letters: usize,
}

/// What is found.
pub struct Found {
    mails: BTreeSet<String>,
    calls: BTreeSet<String>,
    call_events: usize,
    posts: BTreeSet<String>,
    post_versions: usize,
    dead_letters: usize,
}

impl Ledger {
    /// Of everything in the sample; the network names its posts itself.
    pub fn of(sample: &Sample, posts: BTreeSet<String>) -> Self {
        let mails = sample.mails.iter().map(|mail| {
            let mailbox = mail.user.strip_suffix(&format!("@{DOMAIN}")).unwrap_or(&mail.user);
            ItemId::of_mail(BRAND_ID, &format!("email:{mailbox}"), &mail.raw).to_string()
        });
        let readable = sample.calls.iter().filter(|call| call.expect != Expect::DeadLetter);
        Self {
            mails: mails.collect(),
            calls: readable.map(|call| call.call_id.clone()).collect(),
            call_events: sample.expected.phone.items,
            posts,
            post_versions: sample.expected.social.items,
            dead_letters: sample.expected.dead_letters,
        }
    }

    /// How many facts there are.
    pub fn facts(&self) -> usize {
        self.mails.len() + self.call_events + self.post_versions
    }
}

fn strings(table: &Table) -> BTreeSet<String> {
    table.rows.iter().filter_map(|row| Some(row.first()?.as_str()?.to_owned())).collect()
}

fn number(table: &Table) -> usize {
    let value = table.rows.first().and_then(|row| row.first());
    // ClickHouse writes 64-bit numbers as text in JSON.
    value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())).unwrap_or_default() as usize
}

impl Found {
    /// Asks the analyst's views.
    pub async fn read(warehouse: &Warehouse) -> anyhow::Result<Self> {
        let count = async |sql: &str| anyhow::Ok(number(&warehouse.query(sql, &[]).await?));
        let names = async |sql: &str| anyhow::Ok(strings(&warehouse.query(sql, &[]).await?));
        Ok(Self {
            mails: names("SELECT toString(item_id) FROM items WHERE channel = 'email'").await?,
            calls: names("SELECT DISTINCT call_id FROM items WHERE channel = 'phone'").await?,
            call_events: count("SELECT count() FROM items WHERE channel = 'phone'").await?,
            posts: names("SELECT DISTINCT splitByChar('/', post_uri)[-1] FROM items WHERE channel = 'social'").await?,
            post_versions: count("SELECT count() FROM items WHERE channel = 'social'").await?,
            dead_letters: count("SELECT count() FROM dead_letters").await?,
        })
    }

    /// How many facts there are; the acknowledgements we sent are facts too, and not counted here.
    pub fn facts(&self) -> usize {
        self.mails.len() + self.call_events + self.post_versions
    }

    /// What is missing of what was sent, changes to posts included.
    pub fn missing(&self, ledger: &Ledger) -> usize {
        self.missing_before_changes(ledger) + ledger.post_versions.saturating_sub(self.post_versions)
    }

    /// The same before a post was edited or deleted.
    pub fn missing_before_changes(&self, ledger: &Ledger) -> usize {
        let absent = |sent: &BTreeSet<String>, found: &BTreeSet<String>| sent.difference(found).count();
        absent(&ledger.mails, &self.mails)
            + absent(&ledger.calls, &self.calls)
            + ledger.call_events.saturating_sub(self.call_events)
            + absent(&ledger.posts, &self.posts)
            + ledger.dead_letters.saturating_sub(self.dead_letters)
    }
}

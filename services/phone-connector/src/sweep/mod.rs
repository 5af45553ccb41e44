//! Once a day, what the provider's own list says is compared with what its webhooks told: a call whose end nobody told is made from the
//! list. Coverage says what was listed, what became items and what is missing.
//!
//! What was told is remembered in memory only ([`Told`]). After a restart the list tells some calls again; the same call of a list is
//! always the same item, and the fold takes it in whatever the webhooks said.

mod list;

use crate::{
    config::{Account, Config},
    item::{CallFact, Raw, Source},
    number::Numbers,
};
use anyhow::Context as _;
use futures::future::try_join_all;
pub use list::Lister;
use outcry_domain::{CallEventKind, Channel, Coverage, Item, SCHEMA_VERSION, Timestamp};
use outcry_kafka::{Checkpoints, Publisher, Topic};
use outcry_runtime::{Backoff, Context};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A list is final, and its webhooks have come, so long after a call.
const SETTLED: Duration = Duration::from_secs(3600);
/// How much is looked at again at most, after a long pause.
const FURTHEST_MS: i64 = 7 * 86_400_000;
/// Ids remembered for one account: 8 MB, and more calls than a large centre has in two days.
const REMEMBERED: usize = 250_000;
/// Missing calls that a coverage record names.
const EXAMPLES: usize = 10;

/// The calls and legs whose end was told since the connector started.
#[derive(Default)]
pub struct Told {
    ids: Mutex<(HashSet<u64>, VecDeque<u64>)>,
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl Told {
    /// Remembers what an item tells, if it is the end of a call or of a leg.
    pub fn remember(&self, item: &Item) {
        let Some(call) = item.call.as_ref() else { return };
        // The end of a leg is no event of its own: its length or its last status tells of it.
        let last = ["completed", "busy", "no-answer", "canceled", "failed"].contains(&call.provider_event.as_str());
        if call.event != CallEventKind::Ended && call.talk_ms.is_none() && !last {
            return;
        }
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = (call.event == CallEventKind::Ended).then_some(&call.call_id);
        for id in whole.into_iter().chain(&call.leg_id) {
            if ids.0.insert(hash(id)) {
                ids.1.push_back(hash(id));
            }
        }
        while ids.1.len() > REMEMBERED {
            if let Some(oldest) = ids.1.pop_front() {
                ids.0.remove(&oldest);
            }
        }
    }

    fn knows(&self, fact: &CallFact) -> bool {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.0.contains(&hash(fact.call.leg_id.as_deref().unwrap_or(&fact.call.call_id)))
    }
}

/// What one sweep found.
pub struct Found {
    /// Calls that nobody had told, as items.
    pub items: Vec<Item>,
    /// For `source.coverage`.
    pub coverage: Coverage,
}

/// One account's list.
pub struct Sweep {
    lister: Lister,
    source: Source,
    told: Arc<Told>,
}

#[derive(Serialize, Deserialize)]
struct Swept {
    until: Timestamp,
}

impl Sweep {
    /// None when the account has no list, or nothing to ask for it with.
    pub fn open(config: &Config, account: &Account, told: Arc<Told>) -> anyhow::Result<Option<Self>> {
        let Some(lister) = Lister::open(account)? else { return Ok(None) };
        let provider = account.provider().map_err(|problem| anyhow::anyhow!(problem))?;
        let source = Source {
            brand: account.brand.clone(),
            source: format!("phone:{}", account.name),
            provider: account.provider.clone(),
            numbers: Numbers::new(account.region(), provider.writing()),
            key: config.identity.customer_key(),
        };
        Ok(Some(Self { lister, source, told }))
    }

    /// Compares the calls that began in a window.
    pub async fn compare(&self, from: Timestamp, until: Timestamp, now: Timestamp) -> anyhow::Result<Found> {
        let listed = self.lister.list(from, until).await?;
        let n_listed = listed.records.len() as u64;
        let (mut items, mut unread) = (Vec::new(), Vec::new());
        let mut known = 0;
        for (id, raw, read) in listed.records {
            match read {
                Ok(fact) if self.told.knows(&fact) => known += 1,
                Ok(fact) => items.push(self.source.item(fact, &Raw::of(&raw), now, now)),
                Err(_) => unread.push(id),
            }
        }
        let produced = known + items.len() as u64;
        let note = match (items.len(), unread.len()) {
            (0, 0) => None,
            (made, 0) => Some(format!("{made} calls came from the list and not by webhook")),
            (made, unread) => Some(format!("{made} calls came from the list; {unread} of its records cannot be read")),
        };
        let coverage = Coverage {
            schema_version: SCHEMA_VERSION,
            brand: self.source.brand.clone(),
            channel: Channel::Phone,
            source: self.source.source.clone(),
            scope: listed.scope.into(),
            window_start: from,
            window_end: until,
            listed: n_listed,
            produced,
            missing: n_listed - produced,
            missing_examples: unread.into_iter().take(EXAMPLES).collect(),
            note,
            checked_at: now,
            unknown_fields: serde_json::Map::new(),
        };
        Ok(Found { items, coverage })
    }

    /// Sweeps once a day until shutdown, and at start whatever was missed while nothing ran.
    pub async fn run(self, config: Config, publisher: Publisher, context: Context) {
        let mut backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(3600));
        while !context.shutdown.is_cancelled() {
            let attempt = self.sweep(&config, &publisher, &context, &mut backoff);
            match context.shutdown.run_until_cancelled(attempt).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    // Webhooks come all the same: this is no reason to be not ready.
                    let error = format!("{error:#}");
                    tracing::error!(source = self.source.source, error, "list.sweep: trying again");
                    context.shutdown.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
                }
            }
        }
    }

    async fn sweep(
        &self,
        config: &Config,
        publisher: &Publisher,
        context: &Context,
        backoff: &mut Backoff,
    ) -> anyhow::Result<()> {
        let checkpoints = Checkpoints::open(&config.kafka, publisher, &self.source.source).await?;
        let scope = self.lister.scope();
        let every = Duration::from_secs(config.phone.sweep_every_hours.max(1) * 3600);
        loop {
            let now = context.clock.now();
            let until = now.minus(SETTLED);
            let swept = checkpoints.get::<Swept>(scope).map(|swept| swept.until);
            let furthest = Timestamp::from_millis(until.as_millis() - FURTHEST_MS);
            let from = swept.unwrap_or_else(|| until.minus(every)).max(furthest);
            let wait = u64::try_from(every.as_millis() as i64 - until.millis_since(from)).unwrap_or(0);
            if swept.is_some() && wait > 0 {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                continue;
            }
            let found = self.compare(from, until, now).await.context("asking the provider for its list of calls")?;
            let keys: Vec<String> = found.items.iter().map(|item| item.case_id.to_string()).collect();
            let items = found.items.iter().zip(&keys);
            try_join_all(items.map(|(item, key)| publisher.publish_json(Topic::ItemsRaw, key, item))).await?;
            publisher.publish_json(Topic::SourceCoverage, &self.source.source, &found.coverage).await?;
            checkpoints.save(scope, &Swept { until }).await?;
            let (listed, made) = (found.coverage.listed, found.items.len());
            tracing::info!(source = self.source.source, listed, made, "the provider's list was compared");
            backoff.reset();
        }
    }
}

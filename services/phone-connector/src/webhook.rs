//! What stands behind the front door: account by path, proof, facts, items, durable, 2xx.

use crate::{
    config::{Account, Config},
    item::{Raw, Source},
    metrics,
    number::Numbers,
    provider::{Inbound, Provider},
    sweep::Told,
};
use bytes::Bytes;
use http::Method;
use outcry_domain::{CustomerKey, DeadLetter, Item, Timestamp};
use outcry_kafka::Topic;
use outcry_runtime::Clock;
use outcry_webhook::{Door, Durable, NotDurable, Outlet, Parcel, Reply, Webhook, metrics as door_metrics};
use std::{collections::HashMap, sync::Arc};

/// One account, ready to receive.
struct Receiver {
    provider: Box<dyn Provider>,
    source: Source,
    told: Arc<Told>,
}

/// The accounts by name, and the way to durability.
pub struct CallDoor<O> {
    receivers: HashMap<String, Receiver>,
    public_url: String,
    durable: Durable<O>,
    clock: Arc<dyn Clock>,
}

/// `/hooks/{name}` or `/hooks/{name}/{token}`.
fn split_path(path: &str) -> Option<(&str, Option<&str>)> {
    let rest = path.strip_prefix("/hooks/")?;
    Some(match rest.split_once('/') {
        Some((name, token)) => (name, Some(token)),
        None => (rest, None),
    })
}

/// What was said: the body, or the query of a request without one.
fn payload(webhook: &Webhook) -> &[u8] {
    match &webhook.query {
        Some(query) if webhook.body.is_empty() => query.as_bytes(),
        _ => &webhook.body,
    }
}

impl Receiver {
    fn open(account: &Account, key: &CustomerKey) -> anyhow::Result<Self> {
        let provider = account.provider().map_err(|problem| anyhow::anyhow!(problem))?;
        let source = Source {
            brand: account.brand.clone(),
            source: format!("phone:{}", account.name),
            provider: account.provider.clone(),
            numbers: Numbers::new(account.region(), provider.writing()),
            key: key.clone(),
        };
        Ok(Self { provider, source, told: Arc::default() })
    }
}

impl<O: Outlet> CallDoor<O> {
    /// The door of a configuration.
    pub fn open(config: &Config, durable: Durable<O>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let key = config.identity.customer_key();
        let accounts = config.phone.accounts.iter();
        let receivers = accounts
            .map(|account| Ok((account.name.clone(), Receiver::open(account, &key)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { receivers, public_url: config.phone.public_url.trim_end_matches('/').to_owned(), durable, clock })
    }

    /// What webhooks of that account told since the start.
    pub fn told(&self, account: &str) -> Arc<Told> {
        self.receivers.get(account).map(|receiver| Arc::clone(&receiver.told)).unwrap_or_default()
    }

    async fn store(&self, receiver: &Receiver, webhook: &Webhook, items: Vec<Item>) -> Reply {
        let mut parcels = Vec::with_capacity(items.len());
        for item in &items {
            match serde_json::to_vec(item) {
                Ok(payload) => parcels.push(Parcel::Record {
                    topic: Topic::ItemsRaw,
                    key: item.case_id.to_string(),
                    payload: Bytes::from(payload),
                }),
                Err(error) => return self.refuse(receiver, webhook, "unserialisable", error.to_string()).await,
            }
        }
        match self.durable.store_all(parcels).await {
            Ok(()) => {
                for item in &items {
                    receiver.told.remember(item);
                    let event = item.call.as_ref().map_or("other", |call| call.event.as_str());
                    ::metrics::counter!(metrics::ITEMS, "account" => receiver.source.source.clone(), "event" => event)
                        .increment(1);
                }
                receiver.provider.accepted()
            }
            Err(NotDurable::Full(_)) => Reply::Full,
            Err(NotDurable::TooLarge) => {
                match self
                    .refuse(receiver, webhook, "too_large", "its item is larger than a record can be".into())
                    .await
                {
                    Reply::Invalid(_) => Reply::TooLarge,
                    reply => reply,
                }
            }
        }
    }

    /// An authentic webhook that cannot be used goes to dead letters as it came, before the sender is told why.
    async fn refuse(&self, receiver: &Receiver, webhook: &Webhook, reason: &str, detail: String) -> Reply {
        let source = &receiver.source.source;
        tracing::warn!(
            account = source,
            reason,
            detail,
            bytes = webhook.body.len(),
            "webhook.refused: see dead letters"
        );
        ::metrics::counter!(metrics::UNDECODABLE, "account" => source.clone()).increment(1);
        let letter = DeadLetter {
            service: "phone-connector".into(),
            reason: reason.to_owned(),
            detail: detail.clone(),
            origin: source.clone(),
            partition: -1,
            offset: -1,
            received_at: webhook.received_at,
            refused_at: self.clock.now(),
        };
        let payload = Bytes::copy_from_slice(payload(webhook));
        match self.durable.store(Parcel::DeadLetter { letter, payload }).await {
            Ok(()) => Reply::Invalid(detail),
            Err(NotDurable::TooLarge) => Reply::TooLarge,
            Err(NotDurable::Full(_)) => Reply::Full,
        }
    }
}

impl<O: Outlet> Door for CallDoor<O> {
    fn admit(&self, method: &Method, path: &str) -> Result<(), Reply> {
        let (name, token) = split_path(path).ok_or(Reply::NotFound)?;
        let receiver = self.receivers.get(name).ok_or(Reply::NotFound)?;
        if token.is_some() && !receiver.provider.takes_path_token() {
            return Err(Reply::NotFound);
        }
        let allow = receiver.provider.methods();
        match allow.split(", ").any(|allowed| allowed == method.as_str()) {
            true => Ok(()),
            false => Err(Reply::MethodNotAllowed { allow }),
        }
    }

    async fn receive(&self, webhook: Webhook) -> Reply {
        let Some((receiver, token)) =
            split_path(&webhook.path).and_then(|(name, token)| Some((self.receivers.get(name)?, token)))
        else {
            return Reply::NotFound;
        };
        let query = webhook.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}{}{query}", self.public_url, webhook.path);
        let inbound = Inbound { webhook: &webhook, url: &url, path_token: token, now: webhook.received_at };
        if let Err(reason) = receiver.provider.verify(&inbound) {
            ::metrics::counter!(door_metrics::UNAUTHENTIC, "reason" => reason.metric_label()).increment(1);
            tracing::debug!(account = receiver.source.source, %reason, "webhook.unauthentic");
            return Reply::Unauthorized;
        }
        match receiver.provider.parse(&inbound) {
            Ok(facts) => {
                let raw = Raw::of(payload(&webhook));
                let now: Timestamp = self.clock.now();
                let items = facts.into_iter().map(|fact| receiver.source.item(fact, &raw, webhook.received_at, now));
                self.store(receiver, &webhook, items.collect()).await
            }
            Err(undecodable) => self.refuse(receiver, &webhook, "undecodable", undecodable.0).await,
        }
    }
}

//! What the connector's tests share: a configuration, a sender that signs, and an outlet that keeps what it is given.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use outcry_domain::{DeadLetter, Item, Timestamp};
use outcry_phone_connector::{Config, webhook::CallDoor};
use outcry_runtime::{Context, ServiceConfig};
use outcry_webhook::{
    Door, Durable, DurableSettings, Outlet, Parcel, Reply, Undeliverable, Webhook, form,
    signature::{StandardWebhooks, TwilioSignature},
    spool::Spool,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

pub const SECRET: &str = "whsec_b25lIHNlY3JldCBvZiAyNCBieXRlcw==";
pub const TWILIO_TOKEN: &str = "12345";
pub const PUBLIC_URL: &str = "https://hooks.example.org/outcry";

/// A configuration with one account for each provider, and whatever of `[phone]` the test wants otherwise.
pub fn config(bootstrap: &str, prefix: &str, phone: &Value) -> Config {
    let mut whole = json!({
        "kafka": { "bootstrap_servers": bootstrap, "topic_prefix": prefix },
        "brands": [{ "id": "acme", "name": "Acme" }],
        "identity": { "key": "test key" },
        "phone": {
            "public_url": PUBLIC_URL,
            "accounts": [
                { "name": "main", "brand": "acme", "provider": "standard", "secret": SECRET, "region": "IT" },
                { "name": "twilio", "brand": "acme", "provider": "twilio", "secret": TWILIO_TOKEN },
            ],
        },
    });
    for (key, value) in phone.as_object().into_iter().flatten() {
        whole["phone"][key] = value.clone();
    }
    let config: Config = serde_json::from_value(whole).expect("a configuration");
    config.validate().expect("a sound configuration");
    config
}

/// Headers of a Standard Webhooks sender.
pub fn standard_headers(id: &str, at: Timestamp, body: &[u8]) -> Vec<(String, String)> {
    let scheme = StandardWebhooks::new([SECRET]).expect("a secret");
    scheme.headers(id, at, body).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Headers of Twilio for a form.
pub fn twilio_headers(path_and_query: &str, body: &str) -> Vec<(String, String)> {
    let scheme = TwilioSignature::new([TWILIO_TOKEN]).expect("a token");
    let fields = form::parse(body.as_bytes()).expect("a form");
    let (name, value) = scheme.header(&format!("{PUBLIC_URL}{path_and_query}"), &fields);
    vec![(name.into(), value), ("content-type".into(), "application/x-www-form-urlencoded; charset=UTF-8".into())]
}

/// Keeps what it is given.
#[derive(Clone, Default)]
pub struct Keeper {
    parcels: Arc<Mutex<Vec<Parcel>>>,
}

impl Keeper {
    pub fn items(&self) -> Vec<Item> {
        let parcels = self.parcels.lock().expect("a lock");
        let records = parcels.iter().filter_map(|parcel| match parcel {
            Parcel::Record { key, payload, .. } => Some((key.clone(), payload.clone())),
            Parcel::DeadLetter { .. } => None,
        });
        let read = |(key, payload): (String, bytes::Bytes)| {
            let item: Item = serde_json::from_slice(&payload).expect("an item");
            assert_eq!(key, item.case_id.to_string(), "the key is the case");
            item
        };
        records.map(read).collect()
    }

    pub fn dead_letters(&self) -> Vec<(DeadLetter, Vec<u8>)> {
        let parcels = self.parcels.lock().expect("a lock");
        let letters = parcels.iter().filter_map(|parcel| match parcel {
            Parcel::DeadLetter { letter, payload } => Some((letter.clone(), payload.to_vec())),
            Parcel::Record { .. } => None,
        });
        letters.collect()
    }
}

impl Outlet for Keeper {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), Undeliverable> {
        self.parcels.lock().expect("a lock").push(parcel.clone());
        Ok(())
    }
}

/// A door without a socket.
pub struct Bench {
    pub door: CallDoor<Keeper>,
    pub kept: Keeper,
    pub now: Timestamp,
    _spool: tempfile::TempDir,
    _context: Context,
}

impl Bench {
    pub async fn new(phone: &Value) -> Self {
        let (kept, context, spool) = (Keeper::default(), Context::for_tests(), tempfile::tempdir().expect("a folder"));
        let opened = Spool::open(spool.path(), 1 << 20).expect("a spool");
        let durable = Durable::start(kept.clone(), opened, DurableSettings::default(), &context);
        // What is in the spool goes first, even if it is nothing.
        while !context.health.problems().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let config = config("127.0.0.1:1", "t.", phone);
        let door = CallDoor::open(&config, durable, context.clock.clone()).expect("a door");
        Self { door, kept, now: context.clock.now(), _spool: spool, _context: context }
    }

    /// Sends a request as the front door would hand it over, now or `seconds` from now.
    pub async fn send_at(
        &self,
        method: Method,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
        seconds: i64,
    ) -> Reply {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        if let Err(refusal) = self.door.admit(&method, path) {
            return refusal;
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(name).expect("a name"), HeaderValue::from_str(value).expect("a value"));
        }
        let received_at = Timestamp::from_millis(self.now.as_millis() + seconds * 1000);
        let (path, query) = (path.to_owned(), query.map(str::to_owned));
        self.door.receive(Webhook { method, path, query, headers: map, body: body.to_vec().into(), received_at }).await
    }

    pub async fn post(&self, target: &str, headers: &[(String, String)], body: &[u8]) -> Reply {
        self.send_at(Method::POST, target, headers, body, 0).await
    }

    /// A signed event of the `standard` account.
    pub async fn standard(&self, body: &[u8]) -> Reply {
        self.post("/hooks/main", &standard_headers("msg_1", self.now, body), body).await
    }

    /// A signed form of the `twilio` account.
    pub async fn twilio(&self, body: &str) -> Reply {
        self.post("/hooks/twilio", &twilio_headers("/hooks/twilio", body), body.as_bytes()).await
    }
}

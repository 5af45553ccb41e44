//! The providers' lists: Twilio's Calls, Aircall's calls, Vonage's reports. Their records say what webhooks say, by other names.

use crate::{
    config::Account,
    item::CallFact,
    provider::{Undecodable, aircall, twilio, vonage},
};
use anyhow::{Context as _, bail, ensure};
use jiff::tz::TimeZone;
use outcry_domain::Timestamp;
use outcry_runtime::Secret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(60);
/// A page of a thousand calls is 1 MB.
const LARGEST_PAGE: usize = 32 << 20;
const MOST_PAGES: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    TwilioCalls,
    AircallCalls,
    VonageReports,
}

/// Asks one account's API.
pub struct Lister {
    api: Api,
    http: reqwest::Client,
    base: Url,
    user: String,
    password: Secret,
}

/// Every record, read or why it cannot be.
pub struct Listed {
    /// Which list it is.
    pub scope: &'static str,
    /// Id at the provider, the record as it came, and what it says.
    pub records: Vec<(String, Vec<u8>, Result<CallFact, Undecodable>)>,
}

impl Lister {
    /// None when the account names no user of an API.
    pub fn open(account: &Account) -> anyhow::Result<Option<Self>> {
        let (Some(user), Some((api, base, password))) = (account.api_user.clone(), Self::settings(account)?) else {
            return Ok(None);
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("outcry/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            // A password must not follow to wherever an answer points.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Some(Self { api, http, base, user, password }))
    }

    /// What is wrong with the account's settings, if they name a user of an API.
    pub fn check(account: &Account) -> anyhow::Result<()> {
        Self::settings(account).map(drop)
    }

    fn settings(account: &Account) -> anyhow::Result<Option<(Api, Url, Secret)>> {
        if account.api_user.is_none() {
            return Ok(None);
        }
        let (api, base) = match account.provider.as_str() {
            "twilio" => (Api::TwilioCalls, "https://api.twilio.com"),
            "aircall" => (Api::AircallCalls, "https://api.aircall.io"),
            "vonage" => (Api::VonageReports, "https://api.nexmo.com"),
            other => bail!("phone account `{}`: {other} has no list of calls; leave api_user out", account.name),
        };
        let base = account.base_url.as_deref().unwrap_or(base);
        let base = Url::parse(base).with_context(|| format!("phone account `{}`: base_url {base}", account.name))?;
        let password = match (&account.api_password, api) {
            (Some(password), _) => password.clone(),
            // Twilio's auth token signs webhooks and opens the API.
            (None, Api::TwilioCalls) => Secret::from(account.active_secrets().first().copied().unwrap_or_default()),
            _ => bail!("phone account `{}`: api_user needs an api_password", account.name),
        };
        Ok(Some((api, base, password)))
    }

    /// Which list it is, for coverage and checkpoints.
    pub fn scope(&self) -> &'static str {
        match self.api {
            Api::TwilioCalls => "list of Twilio's calls",
            Api::AircallCalls => "list of Aircall's calls",
            Api::VonageReports => "Vonage's report of calls",
        }
    }

    /// All calls that began in the window, page after page.
    pub async fn list(&self, from: Timestamp, until: Timestamp) -> anyhow::Result<Listed> {
        let mut records = Vec::new();
        for first in self.first_pages(from, until)? {
            let mut next = Some(first);
            let mut pages = 0;
            while let Some(url) = next {
                pages += 1;
                ensure!(pages <= MOST_PAGES, "the list has more than {MOST_PAGES} pages: is its paging broken?");
                let mut page = self.ask(url).await?;
                let found = page.get_mut(self.field()).map(Value::take);
                let Some(Value::Array(found)) = found else { bail!("the answer has no list `{}`", self.field()) };
                let began = |record: &Value| self.began(record).is_none_or(|at| at >= from && at < until);
                records.extend(found.into_iter().filter(began).map(|record| self.read(record)));
                next = self.following(&page)?;
            }
        }
        Ok(Listed { scope: self.scope(), records })
    }

    fn field(&self) -> &'static str {
        if self.api == Api::VonageReports { "records" } else { "calls" }
    }

    fn first_pages(&self, from: Timestamp, until: Timestamp) -> anyhow::Result<Vec<Url>> {
        let seconds = |at: Timestamp| (at.as_millis().div_euclid(1000)).to_string();
        let moment = |at: Timestamp| jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        let day = |at: Timestamp| moment(at).to_zoned(TimeZone::UTC).date().to_string();
        let stamp = |at: Timestamp| moment(at).strftime("%Y-%m-%dT%H:%M:%S+0000").to_string();
        Ok(match self.api {
            Api::TwilioCalls => {
                let mut url = self.join("2010-04-01/Accounts/")?;
                url = url.join(&format!("{}/Calls.json", self.user))?;
                // Whole days (UTC): the filter knows no time of day.
                url.query_pairs_mut()
                    .append_pair("StartTime>", &day(from))
                    .append_pair("StartTime<", &day(until.plus(Duration::from_secs(86_400))))
                    .append_pair("PageSize", "1000");
                vec![url]
            }
            Api::AircallCalls => {
                let mut url = self.join("v1/calls")?;
                url.query_pairs_mut()
                    .append_pair("from", &seconds(from))
                    .append_pair("to", &seconds(until))
                    .append_pair("order", "asc")
                    .append_pair("per_page", "50");
                vec![url]
            }
            // A report is of one direction.
            Api::VonageReports => ["inbound", "outbound"]
                .into_iter()
                .map(|direction| {
                    let mut url = self.join("v2/reports/records")?;
                    url.query_pairs_mut()
                        .append_pair("account_id", &self.user)
                        .append_pair("product", "VOICE-CALL")
                        .append_pair("direction", direction)
                        .append_pair("date_start", &stamp(from))
                        .append_pair("date_end", &stamp(until));
                    Ok(url)
                })
                .collect::<anyhow::Result<_>>()?,
        })
    }

    fn join(&self, path: &str) -> anyhow::Result<Url> {
        let base = format!("{}/", self.base.as_str().trim_end_matches('/'));
        Url::parse(&base)?.join(path).with_context(|| format!("base_url {base}"))
    }

    async fn ask(&self, url: Url) -> anyhow::Result<Value> {
        let asking = self.http.get(url).basic_auth(&self.user, Some(self.password.expose()));
        // The URL stays out of the error: it may name an account.
        let mut answer = asking.send().await.map_err(reqwest::Error::without_url).context("the API does not answer")?;
        let status = answer.status();
        match status.as_u16() {
            200 => {}
            401 | 403 => {
                bail!("the API refuses api_user and api_password ({status}): copy both again from the provider's page")
            }
            429 => bail!("the API asks for a pause (429)"),
            _ => bail!("the API answers {status}"),
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(body.len() + part.len() <= LARGEST_PAGE, "a page is larger than {LARGEST_PAGE} bytes");
            body.extend_from_slice(&part);
        }
        serde_json::from_slice(&body).context("the answer is not JSON")
    }

    /// The next page, of the same host: with it goes a password.
    fn following(&self, page: &Value) -> anyhow::Result<Option<Url>> {
        let link = match self.api {
            Api::TwilioCalls => &page["next_page_uri"],
            Api::AircallCalls => &page["meta"]["next_page_link"],
            Api::VonageReports => &page["_links"]["next"]["href"],
        };
        let Some(link) = link.as_str().filter(|link| !link.is_empty()) else { return Ok(None) };
        let named = self.base.join(link).context("the link to the next page")?;
        let mut url = self.base.clone();
        url.set_path(named.path());
        url.set_query(named.query());
        Ok(Some(url))
    }

    fn began(&self, record: &Value) -> Option<Timestamp> {
        match self.api {
            Api::TwilioCalls => crate::time::rfc2822(record["start_time"].as_str()?),
            Api::AircallCalls => record["started_at"].as_i64().map(Timestamp::from_seconds),
            Api::VonageReports => record["date_start"].as_str().and_then(date),
        }
    }

    fn read(&self, record: Value) -> (String, Vec<u8>, Result<CallFact, Undecodable>) {
        let raw = record.to_string().into_bytes();
        let id = ["sid", "id", "call_id"].iter().find_map(|name| match &record[*name] {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        });
        let fact = match self.api {
            Api::TwilioCalls => twilio_call(&record),
            Api::AircallCalls => aircall_call(record),
            Api::VonageReports => vonage_record(&record),
        };
        (id.unwrap_or_default(), raw, fact.map(from_list))
    }
}

/// The same record of a list is the same item, and another one than any webhook's.
fn from_list(mut fact: CallFact) -> CallFact {
    let leg = fact.call.leg_id.clone().unwrap_or_default();
    fact.identity = vec!["list".into(), leg, fact.call.provider_event.clone()];
    fact.call.provider_event = format!("list {}", fact.call.provider_event);
    fact
}

fn date(text: &str) -> Option<Timestamp> {
    let local = || text.replacen(' ', "T", 1).parse::<jiff::civil::DateTime>().ok();
    let utc = || local()?.to_zoned(TimeZone::UTC).ok().map(|at| Timestamp::from(at.timestamp()));
    text.parse().ok().or_else(utc)
}

/// `Calls` resource (twilio.com/docs/voice/api/call-resource).
fn twilio_call(record: &Value) -> Result<CallFact, Undecodable> {
    let fields = [
        ("sid", "CallSid"),
        ("parent_call_sid", "ParentCallSid"),
        ("direction", "Direction"),
        ("from", "From"),
        ("to", "To"),
        ("status", "CallStatus"),
        ("duration", "CallDuration"),
        ("end_time", "Timestamp"),
        ("answered_by", "AnsweredBy"),
        ("caller_name", "CallerName"),
    ];
    let fields = fields.iter().filter_map(|(theirs, ours)| match &record[*theirs] {
        Value::Null => None,
        value => Some(((*ours).to_owned(), value.clone())),
    });
    let facts = twilio::facts(twilio::Fields(fields.collect()), None, Timestamp::UNKNOWN)?;
    let mut fact = facts.into_iter().next().ok_or_else(|| Undecodable("the record says nothing".into()))?;
    let time = |name: &str| record[name].as_str().and_then(crate::time::rfc2822);
    let (start, end) = (time("start_time"), time("end_time"));
    match (fact.call.leg_id.is_some(), fact.call.talk_ms, end) {
        // A leg that talked was taken by a person.
        (true, Some(talk), Some(end)) if talk > 0 => {
            fact.call.answered_at = Some(end.minus(Duration::from_millis(talk)));
        }
        (true, _, _) => fact.call.talk_ms = None,
        (false, _, _) => (fact.call.started_at, fact.call.ended_at) = (start, end),
    }
    let price = record["price"].as_str().map(|price| price.trim_start_matches('-'));
    fact.call.cost = price.and_then(|price| Some(format!("{price} {}", record["price_unit"].as_str()?)));
    Ok(fact)
}

/// The call as every webhook of Aircall has it.
fn aircall_call(record: Value) -> Result<CallFact, Undecodable> {
    let sent = record["ended_at"].as_i64().or_else(|| record["started_at"].as_i64());
    let name = if record["ended_at"].is_i64() { "call.ended" } else { "call.created" };
    let envelope = json!({ "event": name, "timestamp": sent, "data": record });
    let Value::Object(envelope) = envelope else { return Err(Undecodable("the record is no object".into())) };
    aircall::fact(envelope)
}

/// A record of the report `VOICE-CALL` (developer.vonage.com, "Reports API"), one for each leg.
fn vonage_record(record: &Value) -> Result<CallFact, Undecodable> {
    let mut fields = Map::new();
    for (theirs, ours) in [
        ("call_id", "uuid"),
        ("conversation_id", "conversation_uuid"),
        ("direction", "direction"),
        ("from", "from"),
        ("to", "to"),
        ("status", "status"),
        ("duration", "duration"),
        ("network", "network"),
    ] {
        if !record[theirs].is_null() {
            fields.insert(ours.into(), record[theirs].clone());
        }
    }
    for (theirs, ours) in [("date_start", "start_time"), ("date_end", "end_time"), ("date_end", "timestamp")] {
        if let Some(at) = record[theirs].as_str().and_then(date) {
            fields.insert(ours.into(), at.to_string().into());
        }
    }
    let status = record["status"].as_str().unwrap_or("completed").to_lowercase();
    // The report writes it with capitals, and an answered call that is over is complete.
    fields.insert("status".into(), if status == "answered" { "completed".into() } else { status.into() });
    let mut fact = vonage::fact(fields)?;
    let price = ["total_price", "price"].iter().find_map(|name| record[*name].as_str());
    fact.call.cost = price.and_then(|price| Some(format!("{price} {}", record["currency"].as_str()?)));
    Ok(fact)
}

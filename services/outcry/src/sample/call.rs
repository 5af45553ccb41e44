//! Calls, as the webhooks of the phone connector's `standard` provider.

use super::{
    Counts, PHONE_ACCOUNT,
    data::{self, Call, CallFile, Label, Outcome, SampleError},
};
use outcry_domain::Timestamp;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};

/// What the front door must make of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A fact that was not known.
    Stored,
    /// A fact that was stored before.
    Duplicate,
    /// Signed as it should be, and unreadable.
    DeadLetter,
}

/// A webhook to sign and send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleWebhook {
    /// The phone account: the last part of the path.
    pub account: String,
    /// The body, byte for byte as it is signed.
    pub body: Vec<u8>,
    /// Value of the `webhook-id` header; a repeated webhook keeps it.
    pub webhook_id: String,
    /// What must become of it.
    pub expect: Expect,
    /// The call's id at the provider.
    pub call_id: String,
    /// When the provider sends it, which orders the list.
    pub sent_at: Timestamp,
    /// Language of the call.
    pub language: String,
    /// How a person would label the call; on its last event only.
    pub label: Option<Label>,
}

const FILES: [(&str, &str); 8] = [
    ("calls/en.toml", include_str!("../../sample/calls/en.toml")),
    ("calls/it.toml", include_str!("../../sample/calls/it.toml")),
    ("calls/pt.toml", include_str!("../../sample/calls/pt.toml")),
    ("calls/de.toml", include_str!("../../sample/calls/de.toml")),
    ("calls/es.toml", include_str!("../../sample/calls/es.toml")),
    ("calls/fr.toml", include_str!("../../sample/calls/fr.toml")),
    ("calls/ja.toml", include_str!("../../sample/calls/ja.toml")),
    ("calls/zh.toml", include_str!("../../sample/calls/zh.toml")),
];

/// Every webhook, in the order of sending.
pub fn build(now: Timestamp) -> Result<Vec<SampleWebhook>, SampleError> {
    let mut webhooks = vec![undecodable(now)];
    for (name, content) in FILES {
        let file: CallFile = data::parse(name, content)?;
        for (index, call) in file.call.iter().enumerate() {
            let call_id = format!("MC-{}-{}{:02}", data::stamp(now), file.language, index + 1);
            let events = Events::of(call, &file, &call_id, now.minus(call.ago.0));
            deliver(events, call, &file.language, &mut webhooks);
        }
    }
    webhooks.sort_by_key(|webhook| webhook.sent_at);
    Ok(webhooks)
}

/// What must be found of these webhooks.
pub fn counts(webhooks: &[SampleWebhook]) -> Counts {
    let stored = webhooks.iter().filter(|webhook| webhook.expect == Expect::Stored);
    let contacts: BTreeSet<&str> = stored.clone().map(|webhook| webhook.call_id.as_str()).collect();
    Counts { sent: webhooks.len(), items: stored.count(), contacts: contacts.len() }
}

/// A body cut off on its way through the provider's own queue.
fn undecodable(now: Timestamp) -> SampleWebhook {
    let call_id = format!("MC-{}-cut", data::stamp(now));
    SampleWebhook {
        account: PHONE_ACCOUNT.into(),
        body: format!("{{\"type\":\"call.ended\",\"call_id\":\"{call_id}\",\"occurred_at\":\"20").into_bytes(),
        webhook_id: format!("msg_{call_id}"),
        expect: Expect::DeadLetter,
        call_id,
        sent_at: now.minus(Duration::from_secs(5 * 86_400)),
        language: String::new(),
        label: None,
    }
}

/// Puts a call's events into the order of delivery.
fn deliver(mut events: Vec<(Timestamp, Value)>, call: &Call, language: &str, out: &mut Vec<SampleWebhook>) {
    let end = events.iter().map(|(at, _)| *at).max().unwrap_or(Timestamp::UNKNOWN);
    if call.reversed {
        events.reverse();
        for (position, (sent_at, _)) in events.iter_mut().enumerate() {
            *sent_at = end.plus(Duration::from_secs(1 + position as u64));
        }
    }
    let last = events.len().saturating_sub(1);
    for (position, (sent_at, event)) in events.into_iter().enumerate() {
        let call_id = event["call_id"].as_str().unwrap_or_default().to_owned();
        let webhook = SampleWebhook {
            account: PHONE_ACCOUNT.into(),
            body: event.to_string().into_bytes(),
            webhook_id: format!("msg_{call_id}_{}", event["sequence"]),
            expect: Expect::Stored,
            call_id,
            sent_at,
            language: language.to_owned(),
            label: call.label.filter(|_| position == last),
        };
        if call.repeated && position == last {
            let again = sent_at.plus(Duration::from_secs(30));
            out.push(SampleWebhook { expect: Expect::Duplicate, sent_at: again, label: None, ..webhook.clone() });
        }
        out.push(webhook);
    }
}

/// The events of one call, in the order in which they happened.
struct Events {
    common: Map<String, Value>,
    at: Timestamp,
    list: Vec<(Timestamp, Value)>,
}

impl Events {
    fn of(call: &Call, file: &CallFile, call_id: &str, started_at: Timestamp) -> Vec<(Timestamp, Value)> {
        let (from, to) = if call.outbound { (&file.number, &call.from) } else { (&call.from, &file.number) };
        let mut common = Map::new();
        common.insert("call_id".into(), json!(call_id));
        common.insert("direction".into(), json!(if call.outbound { "outbound" } else { "inbound" }));
        common.insert("from".into(), json!(from));
        common.insert("to".into(), json!(to));
        common.insert("language".into(), json!(file.language));
        if let Some(name) = &call.name {
            common.insert("customer_name".into(), json!(name));
        }
        let mut events = Self { common, at: started_at, list: Vec::new() };
        events.add("started", 0, json!({ "ivr_choice": call.choice }));
        if call.outbound {
            events.add("ringing", 2, json!({ "agent": call.agent }));
        } else {
            events.add("queued", 6, json!({ "queue": format!("care-{}", file.language) }));
        }
        match call.outcome {
            Outcome::Answered => events.answered(call),
            Outcome::Abandoned => {
                events.ended(call, "canceled", json!({ "abandoned": true, "wait_seconds": call.wait }))
            }
            Outcome::NoAnswer => events.ended(call, "no_answer", json!({})),
            Outcome::Voicemail => {
                events.add("voicemail", call.wait + call.talk, json!({ "transcript": call.transcript }));
                events.ended(call, "no_answer", json!({ "wait_seconds": call.wait }));
            }
        }
        events.list
    }

    fn answered(&mut self, call: &Call) {
        self.add("answered", call.wait, json!({ "agent": call.agent, "wait_seconds": call.wait }));
        if call.hold > 0 {
            self.add("held", call.talk / 2, json!({ "agent": call.agent }));
            self.add("resumed", call.hold, json!({ "agent": call.agent }));
        }
        let before_end = if call.hold > 0 { call.talk - call.talk / 2 } else { call.talk };
        self.at = self.at.plus(Duration::from_secs(before_end));
        let lengths = json!({
            "agent": call.agent, "talk_seconds": call.talk, "hold_seconds": call.hold, "wait_seconds": call.wait,
            "duration_seconds": 6 + call.wait + call.talk + call.hold,
        });
        self.ended(call, "completed", lengths);
        if call.transcript.is_some() {
            self.add("transcript", 20, json!({ "transcript": call.transcript }));
        }
        if call.note.is_some() {
            self.add("note", 45, json!({ "agent": call.agent, "note": call.note }));
        }
    }

    fn ended(&mut self, call: &Call, cause: &str, mut fields: Value) {
        fields["cause"] = json!(cause);
        let waited = if call.outcome == Outcome::Abandoned { call.wait } else { 1 };
        self.add("ended", waited, fields);
    }

    /// Adds an event so many seconds after the one before it; a field without a value is left out.
    fn add(&mut self, kind: &str, seconds_later: u64, fields: Value) {
        self.at = self.at.plus(Duration::from_secs(seconds_later));
        let mut event = Map::new();
        event.insert("type".into(), json!(format!("call.{kind}")));
        event.extend(self.common.clone());
        event.insert("sequence".into(), json!(self.list.len() + 1));
        event.insert("occurred_at".into(), json!(self.at));
        if let Value::Object(fields) = fields {
            event.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        self.list.push((self.at, Value::Object(event)));
    }
}

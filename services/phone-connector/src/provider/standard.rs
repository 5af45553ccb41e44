//! `standard`: our own documented JSON under a Standard Webhooks signature, for any PBX or script.
//!
//! The README of this crate documents the fields; `schema/standard-call-event.json` is their JSON Schema.

use super::{Inbound, Provider, Undecodable, json_object, seconds_to_ms, take_text};
use crate::{config::Account, item::CallFact};
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};
use outcry_webhook::signature::{BadSecret, StandardWebhooks, Unauthentic};
use serde_json::{Map, Value};

struct Standard {
    signature: StandardWebhooks,
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    Ok(Box::new(Standard { signature: StandardWebhooks::new(account.active_secrets())? }))
}

impl Provider for Standard {
    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        let webhook = inbound.webhook;
        self.signature.verify(&webhook.headers, &webhook.body, inbound.now).map(drop)
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        let delivery = inbound.webhook.headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        Ok(vec![fact(json_object(&inbound.webhook.body)?, delivery)?])
    }
}

fn event_kind(name: &str) -> CallEventKind {
    match name {
        "started" => CallEventKind::Started,
        "queued" => CallEventKind::Queued,
        "ringing" => CallEventKind::Ringing,
        "answered" => CallEventKind::Answered,
        "held" => CallEventKind::Held,
        "resumed" => CallEventKind::Resumed,
        "transferred" => CallEventKind::Transferred,
        "ended" => CallEventKind::Ended,
        "voicemail" => CallEventKind::Voicemail,
        "recording" => CallEventKind::Recording,
        "transcript" => CallEventKind::Transcript,
        "note" => CallEventKind::Note,
        _ => CallEventKind::Other,
    }
}

fn fact(mut fields: Map<String, Value>, delivery: &str) -> Result<CallFact, Undecodable> {
    let missing = |field: &str| Undecodable(format!("`{field}` is missing; it must be a text"));
    let call_id = take_text(&mut fields, "call_id").ok_or_else(|| missing("call_id"))?;
    let provider_event = take_text(&mut fields, "type").ok_or_else(|| missing("type"))?;
    let name = provider_event.strip_prefix("call.").unwrap_or(&provider_event);
    let occurred_at = occurred_at(&mut fields)?;
    let sequence = sequence(&mut fields)?;
    let direction = match take_text(&mut fields, "direction").as_deref() {
        Some("inbound") => Some(Direction::Inbound),
        Some("outbound") => Some(Direction::Outbound),
        None => None,
        Some(_) => return Err(Undecodable("`direction` must be inbound or outbound".into())),
    };
    let leg_id = take_text(&mut fields, "leg_id");
    let moment = match (sequence, occurred_at) {
        (Some(sequence), _) => format!("sequence {sequence}"),
        (None, Some(at)) => at.to_string(),
        // Nothing in the body tells two such events apart; the delivery's id is the same on every retry.
        (None, None) => format!("delivery {delivery}"),
    };
    let identity = [Some(name.to_owned()), Some(moment), leg_id.clone()].into_iter().flatten().collect();
    let transcript = take_text(&mut fields, "transcript");
    let note = take_text(&mut fields, "note");
    let text = [transcript.as_deref(), note.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
    let call = Call {
        event: event_kind(name),
        leg_id,
        sequence,
        from: take_text(&mut fields, "from"),
        to: take_text(&mut fields, "to"),
        queue: take_text(&mut fields, "queue"),
        agent: take_text(&mut fields, "agent"),
        ivr_choice: take_text(&mut fields, "ivr_choice"),
        wait_ms: seconds(&mut fields, "wait_seconds")?,
        talk_ms: seconds(&mut fields, "talk_seconds")?,
        hold_ms: seconds(&mut fields, "hold_seconds")?,
        duration_ms: seconds(&mut fields, "duration_seconds")?,
        abandoned: fields.remove("abandoned").and_then(|value| value.as_bool()),
        cause: take_text(&mut fields, "cause"),
        recording_url: take_text(&mut fields, "recording_url"),
        transcript,
        cost: cost(&mut fields),
        call_id,
        provider_event,
        ..Call::default()
    };
    // Who names a caller and no direction was called.
    let direction = direction.or(call.from.is_some().then_some(Direction::Inbound));
    let customer_name = take_text(&mut fields, "customer_name");
    let language = take_text(&mut fields, "language");
    fields.retain(|_, value| !value.is_null());
    Ok(CallFact {
        call: Call { provider_fields: fields, ..call },
        direction,
        customer_name,
        occurred_at: occurred_at.unwrap_or(Timestamp::UNKNOWN),
        identity,
        text,
        language,
        ..CallFact::default()
    })
}

fn occurred_at(fields: &mut Map<String, Value>) -> Result<Option<Timestamp>, Undecodable> {
    let Some(text) = take_text(fields, "occurred_at") else { return Ok(None) };
    let wrong = || Undecodable("`occurred_at` must be RFC 3339, such as 2026-03-01T09:30:00Z".into());
    text.parse().map(Some).map_err(|_| wrong())
}

fn sequence(fields: &mut Map<String, Value>) -> Result<Option<i64>, Undecodable> {
    let Some(text) = take_text(fields, "sequence") else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| Undecodable("`sequence` must be a whole number".into()))
}

fn seconds(fields: &mut Map<String, Value>, name: &str) -> Result<Option<u64>, Undecodable> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match seconds_to_ms(&value) {
            Some(millis) => Ok(Some(millis)),
            None => Err(Undecodable(format!("`{name}` must be a number of seconds, not negative"))),
        },
    }
}

/// `{"value": "1.20", "currency": "EUR"}` as `1.20 EUR`; anything else stays where it was.
fn cost(fields: &mut Map<String, Value>) -> Option<String> {
    let cost = fields.get("cost")?;
    let value = match cost.get("value")? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let stated = format!("{} {}", value, cost.get("currency")?.as_str()?);
    fields.remove("cost");
    Some(stated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<CallFact, Undecodable> {
        fact(json_object(body.as_bytes())?, "msg_1")
    }

    #[test]
    fn every_documented_field_arrives() {
        let fact = parse(
            r#"{"type":"call.ended","call_id":"c1","leg_id":"l2","sequence":3,"occurred_at":"2026-03-01T10:30:00.5+01:00",
                "direction":"inbound","from":"+390212345678","to":"+39021111111","queue":"care","agent":"ana","ivr_choice":"2",
                "wait_seconds":12,"talk_seconds":61.5,"hold_seconds":0,"duration_seconds":"80","abandoned":false,"cause":"completed",
                "recording_url":"https://pbx.example/r/1","transcript":"it broke","note":"call back","language":"en",
                "customer_name":"Ana","cost":{"value":"1.20","currency":"EUR"},"x_mood":"cross","empty":null}"#,
        )
        .unwrap();
        let call = &fact.call;
        assert_eq!((call.call_id.as_str(), call.event, call.sequence), ("c1", CallEventKind::Ended, Some(3)));
        assert_eq!(call.provider_event, "call.ended");
        assert_eq!(fact.occurred_at.to_string(), "2026-03-01T09:30:00.500Z");
        assert_eq!(
            (call.wait_ms, call.talk_ms, call.hold_ms, call.duration_ms),
            (Some(12_000), Some(61_500), Some(0), Some(80_000))
        );
        assert_eq!(fact.text, "it broke\n\ncall back");
        assert_eq!(call.cost.as_deref(), Some("1.20 EUR"));
        assert_eq!(fact.identity, ["ended", "sequence 3", "l2"]);
        assert_eq!(Value::Object(call.provider_fields.clone()), serde_json::json!({ "x_mood": "cross" }));
    }

    #[test]
    fn an_unknown_type_is_kept_as_other() {
        let fact = parse(r#"{"type":"call.parked","call_id":"c1","occurred_at":"2026-03-01T10:30:00Z"}"#).unwrap();
        assert_eq!((fact.call.event, fact.call.provider_event.as_str()), (CallEventKind::Other, "call.parked"));
        assert_eq!((fact.direction, fact.call.from), (None, None));
    }

    #[test]
    fn without_order_or_time_the_delivery_is_the_identity() {
        let fact = parse(r#"{"type":"note","call_id":"c1","note":"x"}"#).unwrap();
        assert_eq!(fact.identity, ["note", "delivery msg_1"]);
        assert!(fact.occurred_at.is_unknown());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, reason) in [
            (r#"{"type":"call.ended"}"#, "`call_id` is missing"),
            (r#"{"call_id":"","type":"call.ended"}"#, "`call_id` is missing"),
            (r#"{"call_id":"c"}"#, "`type` is missing"),
            (r#"{"call_id":"c","type":"x","occurred_at":"yesterday"}"#, "RFC 3339"),
            (r#"{"call_id":"c","type":"x","sequence":1.5}"#, "whole number"),
            (r#"{"call_id":"c","type":"x","wait_seconds":-1}"#, "`wait_seconds` must be"),
            (r#"{"call_id":"c","type":"x","direction":"in"}"#, "inbound or outbound"),
            ("[]", "not a JSON object"),
            ("{\"call_id\"", "not JSON: line 1"),
            (r#"{"call_id":"\ud800","type":"x"}"#, "not JSON"),
        ] {
            let error = parse(body).unwrap_err().to_string();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }
}

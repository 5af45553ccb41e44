//! `telnyx`: Voice API webhooks, versions 2 and 1, under an Ed25519 signature.
//!
//! developers.telnyx.com, "Receiving webhooks" and "Webhook fundamentals". A session is the call; its legs are collapsed. Only
//! `call.initiated` states the direction, so only it tells who the customer is. The answer of a leg that came in is the
//! application's; where the event does not say which leg it is, the `calls` view knows.

use super::{
    Inbound, Provider, Undecodable, form_object, is_form, json_object, seconds_to_ms, take_text, text_at, twilio,
};
use crate::{config::Account, item::CallFact, number::Writing};
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};
use outcry_webhook::signature::{BadSecret, TelnyxSignature, Unauthentic};
use serde_json::{Map, Value};

struct Telnyx {
    signature: TelnyxSignature,
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    Ok(Box::new(Telnyx { signature: TelnyxSignature::new(account.active_secrets())? }))
}

impl Provider for Telnyx {
    fn writing(&self) -> Writing {
        Writing::International
    }

    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        self.signature.verify(&inbound.webhook.headers, &inbound.webhook.body, inbound.now)
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        let webhook = inbound.webhook;
        // TeXML applications send what Twilio's would, numbers as such among the texts.
        if is_form(&webhook.headers) {
            return twilio::facts(twilio::Fields(form_object(&webhook.body)?), None, webhook.received_at);
        }
        let body = json_object(&webhook.body)?;
        if body.contains_key("CallSid") {
            return twilio::facts(twilio::Fields(body), None, webhook.received_at);
        }
        fact(body).map(|fact| fact.into_iter().collect())
    }
}

fn event_kind(name: &str, payload: &Map<String, Value>, direction: Option<Direction>) -> CallEventKind {
    match name {
        "call.initiated" => CallEventKind::Started,
        "call.enqueued" => CallEventKind::Queued,
        "call.ringing" => CallEventKind::Ringing,
        // An incoming leg is answered by the application; a person comes by a bridge.
        "call.answered" if direction == Some(Direction::Inbound) => CallEventKind::Other,
        "call.answered" | "call.bridged" => CallEventKind::Answered,
        "call.hold" | "call.held" => CallEventKind::Held,
        "call.unhold" | "call.unheld" => CallEventKind::Resumed,
        "call.refer.completed" => CallEventKind::Transferred,
        "call.hangup" => CallEventKind::Ended,
        "call.recording.saved" => CallEventKind::Recording,
        "call.transcription" | "call.recording.transcription.saved" => CallEventKind::Transcript,
        "call.machine.detection.ended" | "call.machine.premium.detection.ended"
            if text_at(payload, &["result"]).is_some_and(|result| result.starts_with("machine")) =>
        {
            CallEventKind::Voicemail
        }
        _ => CallEventKind::Other,
    }
}

fn cause(name: &str) -> String {
    match name {
        "normal_clearing" => "completed",
        "user_busy" => "busy",
        "no_answer" | "timeout" => "no_answer",
        "originator_cancel" => "canceled",
        "not_found" | "unspecified" => "failed",
        other => other,
    }
    .to_owned()
}

/// `call.cost` comes when a leg is over, with a breakdown that names the currency.
fn cost(payload: &Map<String, Value>) -> Option<String> {
    let total = text_at(payload, &["total_cost"])?;
    let currency = payload.get("cost_parts").and_then(|parts| parts.pointer("/0/currency")).and_then(Value::as_str);
    Some(format!("{total} {}", currency.unwrap_or("USD")))
}

/// None for what is no call, such as a message.
fn fact(mut body: Map<String, Value>) -> Result<Option<CallFact>, Undecodable> {
    let mut data = match body.remove("data") {
        Some(Value::Object(data)) => data,
        // Version 1 has no wrapper.
        _ => body,
    };
    let name = take_text(&mut data, "event_type").ok_or_else(|| Undecodable("`event_type` is missing".into()))?;
    let provider_event = name.replace('_', ".");
    let Some(Value::Object(mut payload)) = data.remove("payload") else {
        return Err(Undecodable("`payload` is missing".into()));
    };
    let leg_id = text_at(&payload, &["call_leg_id"]).or_else(|| text_at(&payload, &["call_control_id"]));
    let Some(call_id) = text_at(&payload, &["call_session_id"]).or_else(|| leg_id.clone()) else {
        let concerns_calls = provider_event.starts_with("call.") || provider_event.starts_with("conference.");
        return if concerns_calls { Err(Undecodable("`call_session_id` is missing".into())) } else { Ok(None) };
    };
    let time = |object: &Map<String, Value>, name: &str| text_at(object, &[name]).and_then(|text| text.parse().ok());
    let occurred_at: Option<Timestamp> = time(&data, "occurred_at").or_else(|| time(&data, "created_at"));
    let direction = match take_text(&mut payload, "direction").as_deref() {
        Some("incoming" | "inbound") => Some(Direction::Inbound),
        Some("outgoing" | "outbound") => Some(Direction::Outbound),
        _ => None,
    };
    let event = event_kind(&provider_event, &payload, direction);
    let id = take_text(&mut data, "id").unwrap_or_else(|| {
        format!("{} {}", occurred_at.unwrap_or(Timestamp::UNKNOWN), leg_id.clone().unwrap_or_default())
    });
    let spoken =
        text_at(&payload, &["transcription_data", "transcript"]).or_else(|| text_at(&payload, &["transcription_text"]));
    let interim = payload.get("transcription_data").and_then(|data| data.get("is_final")) == Some(&Value::Bool(false));
    let transcript = spoken.filter(|_| !interim);
    let recording_url = ["recording_urls", "public_recording_urls"]
        .iter()
        .find_map(|urls| ["mp3", "wav"].iter().find_map(|format| text_at(&payload, &[urls, format])));
    let started_at: Option<Timestamp> = time(&payload, "start_time");
    let ended_at = time(&payload, "end_time").or(occurred_at.filter(|_| event == CallEventKind::Ended));
    let lasted = |started: Timestamp| u64::try_from(ended_at?.millis_since(started)).ok();
    let waited = payload.get("wait_time_secs").and_then(seconds_to_ms);
    let gave_up = provider_event == "call.dequeued" && text_at(&payload, &["reason"]).as_deref() == Some("hangup");
    let call = Call {
        call_id,
        leg_id,
        wait_ms: waited,
        abandoned: gave_up.then_some(true),
        started_at,
        duration_ms: started_at.filter(|_| event == CallEventKind::Ended).and_then(lasted),
        cost: cost(&payload),
        event: if interim { CallEventKind::Other } else { event },
        from: take_text(&mut payload, "from"),
        to: take_text(&mut payload, "to"),
        queue: take_text(&mut payload, "queue"),
        ivr_choice: take_text(&mut payload, "digits").or_else(|| take_text(&mut payload, "digit")),
        ended_at,
        cause: text_at(&payload, &["hangup_cause"]).as_deref().map(cause),
        recording_url,
        transcript: transcript.clone(),
        provider_fields: payload,
        provider_event: provider_event.clone(),
        ..Call::default()
    };
    Ok(Some(CallFact {
        call,
        direction,
        occurred_at: occurred_at.unwrap_or(Timestamp::UNKNOWN),
        identity: vec![provider_event, id],
        text: transcript.unwrap_or_default(),
        ..CallFact::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(event: &str, payload: Value) -> CallFact {
        let mut whole = json!({ "call_session_id": "s1", "call_leg_id": "l1", "from": "+35319605860", "to": "sip:care@pbx.example" });
        whole.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        let body = json!({ "data": {
            "record_type": "event", "event_type": event, "id": "e1", "occurred_at": "2026-02-02T22:25:27.521992Z", "payload": whole,
        }, "meta": { "attempt": 2 } });
        fact(body.as_object().unwrap().clone()).unwrap().unwrap()
    }

    #[test]
    fn a_session_is_the_call_and_its_first_event_knows_the_customer() {
        let fact = parse("call.initiated", json!({ "direction": "incoming", "state": "parked" }));
        assert_eq!((fact.call.call_id.as_str(), fact.call.leg_id.as_deref()), ("s1", Some("l1")));
        assert_eq!((fact.call.event, fact.direction), (CallEventKind::Started, Some(Direction::Inbound)));
        assert_eq!(fact.occurred_at.to_string(), "2026-02-02T22:25:27.521Z");
        let later = parse("call.hangup", json!({ "hangup_cause": "user_busy", "end_time": "2026-02-02T22:26:00Z" }));
        assert_eq!((later.call.event, later.direction), (CallEventKind::Ended, None));
        assert_eq!(later.call.cause.as_deref(), Some("busy"));
        assert!(later.call.ended_at.is_some());
    }

    #[test]
    fn queue_menu_machine_recording_and_words() {
        assert_eq!(parse("call.enqueued", json!({ "queue": "support" })).call.queue.as_deref(), Some("support"));
        assert_eq!(parse("call.gather.ended", json!({ "digits": "123" })).call.ivr_choice.as_deref(), Some("123"));
        assert_eq!(
            parse("call.machine.detection.ended", json!({ "result": "machine" })).call.event,
            CallEventKind::Voicemail
        );
        assert_eq!(
            parse("call.machine.detection.ended", json!({ "result": "human" })).call.event,
            CallEventKind::Other
        );
        let saved = parse("call.recording.saved", json!({ "recording_urls": { "mp3": "https://r.example/1.mp3" } }));
        assert_eq!(
            (saved.call.event, saved.call.recording_url.as_deref()),
            (CallEventKind::Recording, Some("https://r.example/1.mp3"))
        );
        let words = parse(
            "call.transcription",
            json!({ "transcription_data": { "transcript": "it broke", "is_final": true } }),
        );
        assert_eq!((words.call.event, words.text.as_str()), (CallEventKind::Transcript, "it broke"));
        assert_eq!(parse("call.answered", json!({ "direction": "incoming" })).call.event, CallEventKind::Other);
        assert_eq!(parse("call.bridged", json!({})).call.event, CallEventKind::Answered);
        assert_eq!(parse("call.fork.started", json!({})).call.event, CallEventKind::Other);
    }

    /// NOTES of the payloads: `end_time` is in real hang-ups and absent from the reference's example.
    #[test]
    fn a_hangup_says_how_long_the_call_was_with_or_without_its_end() {
        let start = json!({ "start_time": "2026-02-02T22:20:27.521992Z", "hangup_cause": "normal_clearing" });
        let bare = parse("call.hangup", start.clone());
        assert_eq!((bare.call.duration_ms, bare.call.ended_at), (Some(300_000), Some(bare.occurred_at)));
        let mut ended = start;
        ended["end_time"] = json!("2026-02-02T22:25:20.521992Z");
        let ended = parse("call.hangup", ended);
        assert_eq!(ended.call.duration_ms, Some(293_000));
        assert_eq!(ended.call.started_at.unwrap().to_string(), "2026-02-02T22:20:27.521Z");
    }

    #[test]
    fn who_hangs_up_in_the_queue_has_abandoned_and_the_cost_has_a_currency() {
        let gone = parse("call.dequeued", json!({ "queue": "support", "reason": "hangup", "wait_time_secs": 21 }));
        assert_eq!((gone.call.abandoned, gone.call.wait_ms), (Some(true), Some(21_000)));
        assert_eq!(parse("call.dequeued", json!({ "queue": "support", "reason": "bridged" })).call.abandoned, None);
        let cost = parse(
            "call.cost",
            json!({ "total_cost": "0.0058", "cost_parts": [{ "currency": "USD", "cost": "0.0058" }] }),
        );
        assert_eq!(cost.call.cost.as_deref(), Some("0.0058 USD"));
    }

    /// developers.telnyx.com, "TeXML": the fields of TwiML, with JSON numbers where those are texts.
    #[test]
    fn an_application_of_texml_sends_what_twiml_would() {
        let texml = json!({ "CallSid": "v3:a", "CallStatus": "completed", "CallDuration": 42, "From": "+35319605860",
            "To": "+13129457420", "Direction": "inbound", "CallbackSource": "call-progress-events", "SequenceNumber": 2 });
        let facts =
            twilio::facts(twilio::Fields(texml.as_object().unwrap().clone()), None, Timestamp::UNKNOWN).unwrap();
        assert_eq!((facts[0].call.event, facts[0].call.duration_ms), (CallEventKind::Ended, Some(42_000)));
        assert_eq!((facts[0].call.call_id.as_str(), facts[0].direction), ("v3:a", Some(Direction::Inbound)));
    }

    #[test]
    fn version_one_has_no_wrapper_and_a_message_is_no_call() {
        let one = json!({ "event_type": "call_hangup", "id": "e2", "created_at": "2026-02-02T22:25:27Z", "payload": { "call_leg_id": "l1" } });
        let one = fact(one.as_object().unwrap().clone()).unwrap().unwrap();
        assert_eq!((one.call.event, one.call.call_id.as_str()), (CallEventKind::Ended, "l1"));
        let message = json!({ "data": { "event_type": "message.received", "id": "m", "payload": { "text": "hi" } } });
        assert!(fact(message.as_object().unwrap().clone()).unwrap().is_none());
        let broken = json!({ "data": { "event_type": "call.hangup", "payload": {} } });
        assert!(fact(broken.as_object().unwrap().clone()).is_err());
    }

    #[test]
    fn a_retry_is_the_same_fact() {
        assert_eq!(parse("call.hangup", json!({})).identity, parse("call.hangup", json!({ "late": true })).identity);
    }
}

//! `aircall`: every `call.*` event, each with the whole call as it stands; the account's token in the body.
//!
//! developer.aircall.io, "Webhooks overview". `call.ended` comes half a minute after `call.hungup`, with what was missing: both say
//! when the call ended. Holds, tags and comments are further facts of the same call.

use super::{Inbound, Provider, Undecodable, json_object, seconds_to_ms, take_text, text_at};
use crate::{config::Account, item::CallFact, number::Writing};
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};
use outcry_webhook::signature::{BadSecret, SharedToken, Unauthentic};
use serde_json::{Map, Value};

struct Aircall {
    token: SharedToken,
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    Ok(Box::new(Aircall { token: SharedToken::new(account.active_secrets())? }))
}

impl Provider for Aircall {
    fn writing(&self) -> Writing {
        Writing::International
    }

    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        let envelope = json_object(&inbound.webhook.body).map_err(|_| Unauthentic::Malformed)?;
        let token = envelope.get("token").and_then(Value::as_str).ok_or(Unauthentic::Malformed)?;
        self.token.verify(token)
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        let mut envelope = json_object(&inbound.webhook.body)?;
        envelope.remove("token");
        // Users, numbers and contacts have webhooks too; they are no calls.
        let of_a_call = envelope.get("data").is_some_and(|data| data.get("call_id").is_some());
        match text_at(&envelope, &["resource"]).as_deref() {
            Some("call") | None => Ok(vec![fact(envelope)?]),
            // What was made of a call's words: transcriptions, summaries, topics.
            Some(_) if of_a_call => Ok(vec![about_a_call(envelope)?]),
            Some(_) => Ok(Vec::new()),
        }
    }
}

fn event_kind(name: &str) -> CallEventKind {
    match name {
        "call.created" => CallEventKind::Started,
        "call.ringing_on_agent" => CallEventKind::Ringing,
        "call.answered" => CallEventKind::Answered,
        "call.hold" => CallEventKind::Held,
        "call.unhold" => CallEventKind::Resumed,
        "call.transferred" | "call.external_transferred" => CallEventKind::Transferred,
        "call.hungup" | "call.ended" => CallEventKind::Ended,
        "call.voicemail_left" => CallEventKind::Voicemail,
        "call.commented" => CallEventKind::Note,
        _ => CallEventKind::Other,
    }
}

fn at(data: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    data.get(name).and_then(Value::as_i64).map(Timestamp::from_seconds)
}

fn apart(earlier: Option<Timestamp>, later: Option<Timestamp>) -> Option<u64> {
    u64::try_from(later?.millis_since(earlier?)).ok()
}

/// `transcription.created` and its kin: an object of its own that names its call.
fn about_a_call(mut envelope: Map<String, Value>) -> Result<CallFact, Undecodable> {
    let provider_event = take_text(&mut envelope, "event").ok_or_else(|| Undecodable("`event` is missing".into()))?;
    let sent = envelope.get("timestamp").and_then(Value::as_i64);
    let data = envelope.remove("data").and_then(|data| data.as_object().cloned()).unwrap_or_default();
    let call_id = text_at(&data, &["call_id"]).ok_or_else(|| Undecodable("`data.call_id` is missing".into()))?;
    let content = data.get("content");
    let said = content.and_then(|content| content.get("utterances")).and_then(Value::as_array);
    let said = said.into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
    let said = Some(said.collect::<Vec<_>>().join("\n"))
        .filter(|text| !text.is_empty() && provider_event.starts_with("transcription"));
    let call = Call {
        call_id,
        event: if said.is_some() { CallEventKind::Transcript } else { CallEventKind::Other },
        transcript: said.clone(),
        provider_event: provider_event.clone(),
        ..Call::default()
    };
    Ok(CallFact {
        language: content.and_then(|content| content.get("language")).and_then(Value::as_str).map(str::to_owned),
        call: Call { provider_fields: data.clone(), ..call },
        occurred_at: sent.map_or(Timestamp::UNKNOWN, Timestamp::from_seconds),
        identity: vec![
            provider_event,
            text_at(&data, &["id"]).unwrap_or_default(),
            sent.unwrap_or_default().to_string(),
        ],
        revision: sent.map(|sent| Timestamp::from_seconds(sent).as_millis()),
        text: said.unwrap_or_default(),
        ..CallFact::default()
    })
}

/// What an event says of its call.
pub(crate) fn fact(mut envelope: Map<String, Value>) -> Result<CallFact, Undecodable> {
    let provider_event = take_text(&mut envelope, "event").ok_or_else(|| Undecodable("`event` is missing".into()))?;
    let sent = envelope.get("timestamp").and_then(Value::as_i64);
    let Some(Value::Object(mut data)) = envelope.remove("data") else {
        return Err(Undecodable("`data` is missing; it must be the call".into()));
    };
    let call_id = take_text(&mut data, "id").ok_or_else(|| Undecodable("`data.id` is missing".into()))?;
    let event = event_kind(&provider_event);
    let direction = match take_text(&mut data, "direction").as_deref() {
        Some("inbound") => Some(Direction::Inbound),
        Some("outbound") => Some(Direction::Outbound),
        _ => None,
    };
    let (started_at, answered_at, ended_at) =
        (at(&data, "started_at"), at(&data, "answered_at"), at(&data, "ended_at"));
    let (theirs, ours) = (take_text(&mut data, "raw_digits"), text_at(&data, &["number", "digits"]));
    let (from, to) = if direction == Some(Direction::Outbound) { (ours, theirs) } else { (theirs, ours) };
    let missed = text_at(&data, &["missed_call_reason"]);
    let cause = match (ended_at, &missed) {
        (Some(_), Some(_)) => Some("no_answer".to_owned()),
        (Some(_), None) => Some(text_at(&data, &["hangup_cause"]).unwrap_or_else(|| "completed".to_owned())),
        _ => None,
    };
    let comment = data.get("comments").and_then(Value::as_array).and_then(|comments| comments.last());
    let comment = comment.and_then(|comment| comment.get("content")).and_then(Value::as_str).unwrap_or_default();
    let name = ["first_name", "last_name"].iter().filter_map(|part| text_at(&data, &["contact", part]));
    let name = name.collect::<Vec<_>>().join(" ");
    let team = data.get("teams").and_then(Value::as_array).and_then(|teams| teams.first());
    let team = team.and_then(|team| team.get("name")).and_then(Value::as_str).map(str::to_owned);
    let occurred_at = match event {
        // `call.ended` is sent half a minute later; the call ended when it ended.
        CallEventKind::Ended => ended_at.or(sent.map(Timestamp::from_seconds)),
        _ => sent.map(Timestamp::from_seconds),
    };
    let call = Call {
        call_id,
        event,
        from,
        to,
        queue: team.or_else(|| text_at(&data, &["number", "name"])),
        agent: text_at(&data, &["user", "name"]),
        wait_ms: apart(started_at, answered_at),
        talk_ms: apart(answered_at, ended_at),
        duration_ms: ended_at.and(data.get("duration")).and_then(seconds_to_ms),
        started_at,
        answered_at,
        ended_at,
        // Who gave up in the menu was in no queue.
        abandoned: missed.map(|reason| matches!(reason.as_str(), "abandoned_in_classic" | "short_abandoned")),
        cause,
        recording_url: text_at(&data, &["recording"]).or_else(|| text_at(&data, &["voicemail"])),
        provider_event: provider_event.clone(),
        provider_fields: data.clone(),
        ..Call::default()
    };
    Ok(CallFact {
        call,
        direction,
        customer_name: Some(name),
        occurred_at: occurred_at.unwrap_or(Timestamp::UNKNOWN),
        identity: vec![provider_event, sent.unwrap_or_default().to_string()],
        revision: sent.map(|sent| Timestamp::from_seconds(sent).as_millis()),
        text: if event == CallEventKind::Note { comment.to_owned() } else { String::new() },
        ..CallFact::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(event: &str, sent: i64, more: &Value) -> CallFact {
        let mut data = json!({
            "id": 780, "direction": "inbound", "status": "done", "started_at": 1000, "answered_at": 1015, "ended_at": 1200,
            "duration": 200, "raw_digits": "+44 330 818 6690", "missed_call_reason": null, "recording": null, "voicemail": null,
            "number": { "name": "Care", "digits": "+43 720 880079" }, "user": { "name": "Ana" }, "comments": [], "teams": [],
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let envelope = json!({ "resource": "call", "event": event, "timestamp": sent, "token": "t", "data": data });
        fact(envelope.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_ended_call_says_everything() {
        let fact = parse("call.ended", 1230, &json!({ "contact": { "first_name": "Eva", "last_name": null } }));
        let call = &fact.call;
        assert_eq!(
            (call.event, call.call_id.as_str(), call.agent.as_deref()),
            (CallEventKind::Ended, "780", Some("Ana"))
        );
        assert_eq!((call.wait_ms, call.talk_ms, call.duration_ms), (Some(15_000), Some(185_000), Some(200_000)));
        assert_eq!(fact.occurred_at, Timestamp::from_seconds(1200), "not when the event was sent");
        assert_eq!((call.from.as_deref(), call.to.as_deref()), (Some("+44 330 818 6690"), Some("+43 720 880079")));
        assert_eq!(fact.customer_name.as_deref(), Some("Eva"));
        assert_eq!(call.cause.as_deref(), Some("completed"));
    }

    #[test]
    fn hungup_and_ended_are_two_facts_and_a_retry_is_none() {
        let (hungup, ended) = (parse("call.hungup", 1200, &json!({})), parse("call.ended", 1230, &json!({})));
        assert_ne!(hungup.identity, ended.identity);
        assert!(hungup.revision < ended.revision);
        assert_eq!(ended.identity, parse("call.ended", 1230, &json!({ "archived": true })).identity);
    }

    #[test]
    fn a_missed_call_was_not_answered_and_may_have_been_abandoned() {
        let missed = json!({ "answered_at": null, "missed_call_reason": "agents_did_not_answer", "voicemail": "https://v.example/1" });
        let fact = parse("call.voicemail_left", 1210, &missed);
        assert_eq!(
            (fact.call.event, fact.call.answered_at, fact.call.abandoned),
            (CallEventKind::Voicemail, None, Some(false))
        );
        assert_eq!(fact.call.recording_url.as_deref(), Some("https://v.example/1"));
        assert_eq!(fact.call.cause.as_deref(), Some("no_answer"));
        let gone =
            parse("call.ended", 1210, &json!({ "answered_at": null, "missed_call_reason": "abandoned_in_classic" }));
        assert_eq!(gone.call.abandoned, Some(true));
        let menu = parse("call.ended", 1210, &json!({ "answered_at": null, "missed_call_reason": "abandoned_in_ivr" }));
        assert_eq!(menu.call.abandoned, Some(false), "in the menu, not in the queue");
    }

    /// developer.aircall.io, "Conversation intelligence": the words are an object beside the call.
    #[test]
    fn a_transcription_belongs_to_its_call() {
        let envelope = json!({ "resource": "transcription", "event": "transcription.created", "timestamp": 1300, "data": {
            "id": 5, "call_id": 780, "content": { "language": "en", "utterances": [
                { "participant_type": "external", "text": "It broke." }, { "participant_type": "internal", "text": "Sorry." } ] } } });
        let fact = about_a_call(envelope.as_object().unwrap().clone()).unwrap();
        assert_eq!((fact.call.event, fact.call.call_id.as_str()), (CallEventKind::Transcript, "780"));
        assert_eq!((fact.text.as_str(), fact.language.as_deref()), ("It broke.\nSorry.", Some("en")));
    }

    /// NOTES of the payloads: `user` and `contact` are left out when nobody took the call, and times may be null.
    #[test]
    fn a_call_that_nobody_took_has_no_user_and_no_contact() {
        let envelope = json!({ "resource": "call", "event": "call.created", "timestamp": 1000, "data": {
            "id": 1, "direction": "inbound", "started_at": 1000, "answered_at": null, "ended_at": null, "duration": 0, "raw_digits": "anonymous" } });
        let fact = fact(envelope.as_object().unwrap().clone()).unwrap();
        assert_eq!((fact.call.agent, fact.call.answered_at, fact.call.abandoned), (None, None, None));
        assert_eq!(fact.call.from.as_deref(), Some("anonymous"));
    }

    #[test]
    fn a_comment_is_a_note_and_an_outbound_call_turns_the_ends_round() {
        let fact =
            parse("call.commented", 1300, &json!({ "comments": [{ "content": "old" }, { "content": "call back" }] }));
        assert_eq!((fact.call.event, fact.text.as_str()), (CallEventKind::Note, "call back"));
        let outbound =
            parse("call.created", 1000, &json!({ "direction": "outbound", "ended_at": null, "answered_at": null }));
        assert_eq!(outbound.call.to.as_deref(), Some("+44 330 818 6690"));
        assert_eq!((outbound.call.cause, outbound.call.duration_ms), (None, None));
        assert_eq!(parse("call.archived", 1, &json!({})).call.event, CallEventKind::Other);
    }
}

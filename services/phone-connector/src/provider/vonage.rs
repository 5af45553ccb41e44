//! `vonage`: voice events and the answer webhook, by POST or GET, under a signed JWT.
//!
//! nexmo-developer, `webhook-reference.md` and `messages/concepts/signed-webhooks.md`. The conversation is the call. An inbound leg
//! is answered by the application as soon as it has told Vonage what to do; a person answers an outbound leg.

use super::{Inbound, Provider, Undecodable, form_object, is_form, json_object, seconds_to_ms, take_text, text_at};
use crate::{config::Account, item::CallFact, number::Writing};
use http::Method;
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};
use outcry_webhook::{
    Webhook,
    signature::{BadSecret, Unauthentic, VonageJwt, VonageMethod, VonageSignature},
};
use serde_json::{Map, Value};

struct Vonage {
    proof: Proof,
}

/// How the account signs.
enum Proof {
    Jwt(Box<VonageJwt>),
    Parameters(VonageSignature),
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    let secrets = account.active_secrets();
    let proof = match account.signature_method.as_deref().and_then(VonageMethod::named) {
        Some(method) => Proof::Parameters(VonageSignature::new(method, secrets)?),
        None => Proof::Jwt(Box::new(VonageJwt::new(secrets)?)),
    };
    Ok(Box::new(Vonage { proof }))
}

impl Provider for Vonage {
    fn methods(&self) -> &'static str {
        "GET, POST"
    }

    fn writing(&self) -> Writing {
        Writing::International
    }

    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        let webhook = inbound.webhook;
        match &self.proof {
            Proof::Jwt(token) => token.verify(&webhook.headers, &webhook.body, inbound.now),
            Proof::Parameters(signature) => {
                let fields = fields(webhook).map_err(|_| Unauthentic::Malformed)?;
                signature.verify(&parameters(&fields), inbound.now)
            }
        }
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        Ok(vec![fact(unfold(fields(inbound.webhook)?))?])
    }
}

fn fields(webhook: &Webhook) -> Result<Map<String, Value>, Undecodable> {
    match &webhook.query {
        Some(query) if webhook.method == Method::GET => form_object(query.as_bytes()),
        _ if is_form(&webhook.headers) => form_object(&webhook.body),
        _ => json_object(&webhook.body),
    }
}

/// Name and value of each field, as they are signed.
fn parameters(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// A GET event carries JSON inside the values of its query.
fn unfold(mut fields: Map<String, Value>) -> Map<String, Value> {
    for value in fields.values_mut() {
        if let Some(object) =
            value.as_str().filter(|text| text.starts_with('{')).and_then(|text| serde_json::from_str(text).ok())
        {
            *value = object;
        }
    }
    fields
}

/// The name of an event that has no status.
fn name_of(fields: &Map<String, Value>) -> String {
    let has = |name: &str| fields.contains_key(name);
    let name = match () {
        () if has("conversation_uuid_from") || has("conversation_uuid_to") => "transfer",
        () if has("recording_url") => "record",
        () if has("dtmf") || has("speech") => "input",
        () if has("reason") => "error",
        () if has("payload") => "notify",
        () => return text_at(fields, &["type"]).unwrap_or_else(|| "answer".to_owned()),
    };
    name.to_owned()
}

fn event_kind(name: &str, direction: Option<Direction>) -> CallEventKind {
    match name {
        "started" | "answer" => CallEventKind::Started,
        "ringing" => CallEventKind::Ringing,
        "answered" if direction != Some(Direction::Inbound) => CallEventKind::Answered,
        "busy" | "cancelled" | "unanswered" | "disconnected" | "rejected" | "failed" | "timeout" | "completed" => {
            CallEventKind::Ended
        }
        "machine" => CallEventKind::Voicemail,
        "record" => CallEventKind::Recording,
        "transcribed" => CallEventKind::Transcript,
        "transfer" => CallEventKind::Transferred,
        _ => CallEventKind::Other,
    }
}

fn cause(name: &str) -> String {
    match name {
        "cancelled" => "canceled",
        "unanswered" | "timeout" => "no_answer",
        "disconnected" => "completed",
        other => other,
    }
    .to_owned()
}

/// What an event says of its call.
pub(crate) fn fact(mut fields: Map<String, Value>) -> Result<CallFact, Undecodable> {
    let leg_id = take_text(&mut fields, "uuid").or_else(|| take_text(&mut fields, "call_uuid"));
    let conversation =
        ["conversation_uuid", "conversation_uuid_from"].iter().find_map(|name| text_at(&fields, &[name]));
    let call_id = conversation.or_else(|| leg_id.clone()).or_else(|| text_at(&fields, &["recording_uuid"]));
    let call_id = call_id.ok_or_else(|| Undecodable("`conversation_uuid` and `uuid` are missing".into()))?;
    let provider_event = take_text(&mut fields, "status").unwrap_or_else(|| name_of(&fields));
    let direction = match take_text(&mut fields, "direction").as_deref() {
        Some("inbound") => Some(Direction::Inbound),
        Some("outbound") => Some(Direction::Outbound),
        // The answer webhook is for whom somebody called.
        _ if provider_event == "answer" => Some(Direction::Inbound),
        _ => None,
    };
    let event = event_kind(&provider_event, direction);
    let time = |name: &str| text_at(&fields, &[name]).and_then(|text| text.parse::<Timestamp>().ok());
    let (occurred_at, start_time, end_time) = (time("timestamp"), time("start_time"), time("end_time"));
    let ended = event == CallEventKind::Ended;
    let outbound = direction == Some(Direction::Outbound);
    let duration_ms = fields.get("duration").filter(|_| ended).and_then(seconds_to_ms);
    let spoken = fields.get("speech").and_then(|speech| speech.pointer("/results/0/text")).and_then(Value::as_str);
    let text = spoken.unwrap_or_default().to_owned();
    let identity = vec![
        provider_event.clone(),
        leg_id.clone().unwrap_or_default(),
        occurred_at.map(|at| at.to_string()).unwrap_or_default(),
        text_at(&fields, &["recording_uuid"]).unwrap_or_default(),
    ];
    let call = Call {
        call_id,
        leg_id,
        event,
        from: take_text(&mut fields, "from"),
        to: take_text(&mut fields, "to"),
        ivr_choice: text_at(&fields, &["dtmf", "digits"])
            .or_else(|| text_at(&fields, &["dtmf"]))
            .or_else(|| Some(text.clone()).filter(|text| !text.is_empty())),
        duration_ms,
        // Vonage counts a leg from its answer, and a person answers an outbound one.
        talk_ms: duration_ms.filter(|_| outbound),
        answered_at: start_time.filter(|_| outbound && (ended || event == CallEventKind::Answered)),
        ended_at: end_time.filter(|_| ended),
        cause: ended.then(|| cause(&provider_event)),
        recording_url: take_text(&mut fields, "recording_url"),
        // Vonage bills every account in euros.
        cost: text_at(&fields, &["price"]).map(|price| format!("{price} EUR")),
        provider_event,
        provider_fields: {
            fields.retain(|_, value| !value.is_null());
            fields
        },
        ..Call::default()
    };
    Ok(CallFact {
        call,
        direction,
        occurred_at: occurred_at.unwrap_or(Timestamp::UNKNOWN),
        identity,
        text,
        ..CallFact::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> CallFact {
        fact(json_object(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn an_inbound_leg_is_answered_by_the_application() {
        let fact = parse(
            r#"{"start_time":null,"rate":null,"from":"14845552121","to":"16105553939","uuid":"u1","conversation_uuid":"CON-1","status":"answered","direction":"inbound","network":null,"timestamp":"2020-07-01T20:45:35.084Z"}"#,
        );
        assert_eq!((fact.call.event, fact.call.provider_event.as_str()), (CallEventKind::Other, "answered"));
        assert_eq!((fact.call.call_id.as_str(), fact.call.leg_id.as_deref()), ("CON-1", Some("u1")));
        assert_eq!(fact.occurred_at.to_string(), "2020-07-01T20:45:35.084Z");
    }

    #[test]
    fn an_outbound_leg_is_answered_by_a_person_and_has_talked() {
        let fact = parse(
            r#"{"end_time":"2020-07-01T20:45:42.000Z","uuid":"u1","duration":"7","start_time":"2020-07-01T20:45:35.000Z","price":"0.00052500","from":"14845552121","to":"16105553939","conversation_uuid":"CON-1","status":"completed","direction":"outbound","timestamp":"2020-07-01T20:45:41.712Z"}"#,
        );
        assert_eq!(
            (fact.call.event, fact.call.talk_ms, fact.call.duration_ms),
            (CallEventKind::Ended, Some(7000), Some(7000))
        );
        assert_eq!(fact.call.answered_at.unwrap().to_string(), "2020-07-01T20:45:35.000Z");
        assert_eq!(fact.call.cause.as_deref(), Some("completed"));
        assert_eq!(fact.call.provider_fields["price"], "0.00052500");
    }

    #[test]
    fn events_without_a_status_are_known_by_what_they_carry() {
        let named = |body: &str| {
            let fact = parse(body);
            (fact.call.provider_event.clone(), fact.call.event)
        };
        assert_eq!(
            named("\u{feff}{\"uuid\":\"u\",\"conversation_uuid_from\":\"C1\",\"conversation_uuid_to\":\"C2\"}"),
            ("transfer".into(), CallEventKind::Transferred)
        );
        assert_eq!(
            named(r#"{"recording_url":"https://r","recording_uuid":"r","conversation_uuid":"C"}"#),
            ("record".into(), CallEventKind::Recording)
        );
        assert_eq!(
            named(r#"{"reason":"Syntax error","conversation_uuid":"C"}"#),
            ("error".into(), CallEventKind::Other)
        );
        assert_eq!(
            named(r#"{"from":"1","to":"2","uuid":"u","conversation_uuid":"C"}"#),
            ("answer".into(), CallEventKind::Started)
        );
        assert_eq!(
            named(r#"{"call_uuid":"u","status":"machine","direction":"outbound"}"#),
            ("machine".into(), CallEventKind::Voicemail)
        );
        assert_eq!(named(r#"{"uuid":"u","status":"levitating"}"#), ("levitating".into(), CallEventKind::Other));
        let menu = parse(r#"{"uuid":"u","dtmf":{"digits":"42","timed_out":false}}"#);
        assert_eq!(menu.call.ivr_choice.as_deref(), Some("42"));
        assert!(fact(Map::new()).is_err());
    }

    #[test]
    fn a_get_event_carries_json_in_its_query() {
        let query = b"speech=%7B%22results%22:%5B%7B%22text%22:%22it%20broke%22%7D%5D%7D&dtmf=%7B%22digits%22:%223%22,%22timed_out%22:true%7D&from=16105553939&uuid=u&timestamp=2020-07-30T03:58:48.984Z";
        let fact = fact(unfold(form_object(query).unwrap())).unwrap();
        assert_eq!((fact.call.ivr_choice.as_deref(), fact.text.as_str()), (Some("3"), "it broke"));
    }
}

//! `twilio`: status callbacks, recordings, transcriptions, incoming calls, dial and queue actions; form, JSON or GET query.
//!
//! Fields: twilio.com/docs, "TwiML voice request parameters", "Call resource: statusCallback", "Recording status callbacks",
//! `<Dial>`, `<Enqueue>`, `<Record>`. An inbound call that is `in-progress` was answered by TwiML, not by a person: a
//! person's answer is that of a dialled leg.

use super::{Inbound, Provider, Undecodable, form_object, is_form, json_object, seconds_to_ms};
use crate::{config::Account, item::CallFact, time};
use bytes::Bytes;
use http::Method;
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};
use outcry_webhook::{
    Reply, form,
    signature::{BadSecret, Signed, TwilioSignature, Unauthentic},
};
use serde_json::{Map, Value};
use std::time::Duration;

struct Twilio {
    signature: TwilioSignature,
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    Ok(Box::new(Twilio { signature: TwilioSignature::new(account.active_secrets())? }))
}

impl Provider for Twilio {
    fn methods(&self) -> &'static str {
        "GET, POST"
    }

    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        let webhook = inbound.webhook;
        if webhook.method == Method::POST && is_form(&webhook.headers) {
            let fields = form::parse(&webhook.body).map_err(|_| Unauthentic::Malformed)?;
            self.signature.verify(&webhook.headers, inbound.url, &Signed::Form(&fields))
        } else {
            self.signature.verify(&webhook.headers, inbound.url, &Signed::Body(&webhook.body))
        }
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        let webhook = inbound.webhook;
        let encoded = match &webhook.query {
            Some(query) if webhook.method == Method::GET => query.as_bytes(),
            _ => &webhook.body,
        };
        let fields = match is_form(&webhook.headers) || webhook.method == Method::GET {
            true => form_object(encoded)?,
            false => json_object(&webhook.body)?,
        };
        let delivery = webhook.headers.get("i-twilio-idempotency-token").and_then(|token| token.to_str().ok());
        facts(Fields(fields), delivery, webhook.received_at)
    }

    /// Twilio reads the answer to an incoming call as TwiML; for all else it is ignored.
    fn accepted(&self) -> Reply {
        Reply::Accepted { media_type: "text/xml", body: Bytes::from_static(b"<Response/>") }
    }
}

/// The fields of a request, each taken once; what is left is kept as it came.
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        super::take_text(&mut self.0, name)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn look(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Seconds under a name, in milliseconds; a value that is no number stays where it is.
    fn take_ms(&mut self, name: &str) -> Option<u64> {
        let millis = seconds_to_ms(self.0.get(name)?)?;
        self.0.remove(name);
        Some(millis)
    }
}

/// What fields say, whichever way they came; TeXML of Telnyx has the same.
pub(crate) fn facts(
    mut fields: Fields,
    delivery: Option<&str>,
    received_at: Timestamp,
) -> Result<Vec<CallFact>, Undecodable> {
    // The end of a conference names the call that ended it; what concerns all of its calls stands by itself.
    let ids = ["CallSid", "CallSidEndingConference", "ConferenceSid"];
    let call_sid = ids.iter().find_map(|name| fields.take(name));
    let call_sid = call_sid.ok_or_else(|| Undecodable("`CallSid` is missing".into()))?;
    let parent = fields.take("ParentCallSid");
    let is_leg = parent.is_some();
    let direction = match fields.take("Direction").as_deref() {
        Some("inbound") => Some(Direction::Inbound),
        Some(direction) if direction.starts_with("outbound") => Some(Direction::Outbound),
        _ => None,
    };
    let mut fact = CallFact {
        // A dialled leg of an inbound call says outbound, and its other end is the agent.
        direction: direction.filter(|_| !is_leg),
        customer_is_elsewhere: is_leg,
        customer_name: fields.take("CallerName"),
        call: Call {
            leg_id: is_leg.then(|| call_sid.clone()),
            call_id: parent.unwrap_or(call_sid),
            from: fields.take("From"),
            to: fields.take("To"),
            ..Call::default()
        },
        ..CallFact::default()
    };
    let mut second = None;
    if fields.has("TranscriptionSid") || fields.has("TranscriptionEvent") {
        transcription(&mut fact, &mut fields);
    } else if fields.has("AddOns") && !fields.has("CallStatus") && !fields.has("RecordingStatus") {
        // What an add-on found out about a recording; its results are behind links that are not followed.
        fact.call.event = CallEventKind::Other;
        fact.call.provider_event = "add-ons".into();
        fact.identity = vec!["add-ons".into(), fields.look("RecordingSid").to_owned()];
    } else if (fields.has("RecordingSid") || fields.has("RecordingUrl")) && !is_status_callback(&fields) {
        recording(&mut fact, &mut fields);
    } else if fields.has("DialCallStatus") {
        dial_action(&mut fact, &mut fields, received_at);
    } else if fields.has("QueueSid") || fields.has("QueueResult") {
        queue(&mut fact, &mut fields);
    } else {
        second = status(&mut fact, &mut fields, delivery);
    }
    // Empty values say nothing; in the signature they counted.
    fields.0.retain(|_, value| value.as_str() != Some(""));
    fact.call.provider_fields = fields.0;
    Ok(std::iter::once(fact).chain(second).collect())
}

/// The end of a recorded call names its recording; a recording's own callback has no status of a call, and what `<Record>` sends no length of it.
fn is_status_callback(fields: &Fields) -> bool {
    let dialled = fields.has("DialCallStatus") || fields.has("QueueResult");
    let of_the_call = fields.has("CallDuration") || fields.look("CallbackSource") == "call-progress-events";
    dialled || (fields.has("CallStatus") && of_the_call && !fields.has("RecordingStatus"))
}

fn is_machine(fields: &Fields) -> bool {
    fields.look("AnsweredBy").starts_with("machine") || fields.look("AnsweredBy") == "fax"
}

fn cause(status: &str) -> Option<String> {
    match status {
        "completed" | "busy" | "failed" | "canceled" => Some(status.to_owned()),
        "no-answer" => Some("no_answer".to_owned()),
        _ => None,
    }
}

/// A change of `CallStatus`, an incoming call, or a step of a menu.
fn status(fact: &mut CallFact, fields: &mut Fields, delivery: Option<&str>) -> Option<CallFact> {
    let step = if fields.has("ConferenceSid") { fields.take("StatusCallbackEvent") } else { None };
    // Detection that runs beside the call tells of nothing else.
    let detected = || fields.has("AnsweredBy").then(|| "answered-by".to_owned());
    let status = step.or_else(|| fields.0.get("CallStatus")?.as_str().map(str::to_owned)).or_else(detected);
    let status = status.unwrap_or_default();
    fields.0.remove("CallStatus");
    let is_leg = fact.call.leg_id.is_some();
    let outbound = fact.direction == Some(Direction::Outbound);
    let sequence: Option<i64> = fields.take("SequenceNumber").and_then(|text| text.parse().ok());
    let at = fields.0.get("Timestamp").and_then(Value::as_str).and_then(time::rfc2822);
    if at.is_some() {
        fields.0.remove("Timestamp");
    }
    let menu = fields.has("Digits") || fields.has("SpeechResult");
    fact.call.event = match status.as_str() {
        _ if menu => CallEventKind::Other,
        "participant-hold" => CallEventKind::Held,
        "participant-unhold" => CallEventKind::Resumed,
        "in-progress" | "answered" | "answered-by" if is_machine(fields) => CallEventKind::Voicemail,
        "queued" | "initiated" if !is_leg => CallEventKind::Started,
        "ringing" if !is_leg && !outbound => CallEventKind::Started,
        "ringing" => CallEventKind::Ringing,
        "in-progress" | "answered" if is_leg || outbound => CallEventKind::Answered,
        // A leg's end is not the call's: another agent may take it.
        "completed" | "busy" | "no-answer" | "canceled" | "failed" if !is_leg => CallEventKind::Ended,
        _ => CallEventKind::Other,
    };
    fact.call.duration_ms = if is_leg { None } else { fields.take_ms("CallDuration") };
    if is_leg && status == "completed" {
        fact.call.talk_ms = fields.take_ms("CallDuration");
    } else if outbound {
        // Twilio counts from the answer.
        fact.call.talk_ms = fact.call.duration_ms.filter(|_| !is_machine(fields));
    }
    if fact.call.event == CallEventKind::Answered && is_leg {
        fact.call.agent = agent(fact.call.to.as_deref());
    }
    fact.call.recording_url = fields.take("RecordingUrl");
    if fact.call.event == CallEventKind::Ended {
        fact.call.cause = cause(&status);
    }
    let spoken = fields.take("SpeechResult");
    fact.text = spoken.clone().unwrap_or_default();
    fact.call.ivr_choice = fields.take("Digits").or(spoken);
    fact.call.sequence = None;
    // Timestamps have whole seconds; the sequence number orders the events of one.
    fact.revision = match (at, sequence) {
        (Some(at), sequence) => Some(at.as_millis() + sequence.unwrap_or(0).clamp(0, 999)),
        (None, sequence) => sequence,
    };
    fact.occurred_at = at.unwrap_or(Timestamp::UNKNOWN);
    fact.call.provider_event = if status.is_empty() { "unknown".to_owned() } else { status };
    fact.identity = vec![fact.call.provider_event.clone(), fact.call.leg_id.clone().unwrap_or_default()];
    match sequence {
        Some(sequence) => fact.identity.push(format!("sequence {sequence}")),
        None if at.is_some() => fact.identity.push(fact.occurred_at.to_string()),
        // The same on a retry; without it two steps of a menu could not be told apart.
        None => fact.identity.extend(delivery.map(str::to_owned)),
    }
    if let Some(sequence) = sequence {
        fields.0.insert("SequenceNumber".into(), sequence.into());
    }
    // A machine took the call: nobody was spoken to.
    (is_machine(fields) && fact.call.event == CallEventKind::Ended).then(|| {
        let mut voicemail = fact.clone();
        voicemail.call.event = CallEventKind::Voicemail;
        voicemail.call.cause = None;
        voicemail.identity.push("machine".into());
        voicemail
    })
}

/// An agent at a client or a SIP address. A number may be anybody's, the customer's among them.
fn agent(to: Option<&str>) -> Option<String> {
    let to = to?;
    let name = to.strip_prefix("client:").or_else(|| to.strip_prefix("sip:")?.split(['@', ';']).next())?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn recording(fact: &mut CallFact, fields: &mut Fields) {
    let sid = fields.take("RecordingSid").unwrap_or_default();
    // `<Record>` asks for its action without a RecordingStatus, when the caller has spoken.
    let status = fields.take("RecordingStatus");
    let by_caller = fields.look("RecordingSource") == "RecordVerb" || status.is_none();
    fact.call.event = match status.as_deref() {
        Some("completed") | None if by_caller => CallEventKind::Voicemail,
        Some("completed") => CallEventKind::Recording,
        _ => CallEventKind::Other,
    };
    let status = status.unwrap_or_else(|| "action".into());
    fact.call.provider_event = format!("recording-{status}");
    fact.call.recording_url = fields.take("RecordingUrl");
    fact.occurred_at = moment(fields, "RecordingStartTime");
    fact.identity = vec!["recording".into(), sid.clone(), status];
    fields.0.insert("RecordingSid".into(), sid.into());
}

fn transcription(fact: &mut CallFact, fields: &mut Fields) {
    let sid = fields.look("TranscriptionSid").to_owned();
    let (event, part) = match fields.take("TranscriptionEvent") {
        // Live transcription: one callback for each utterance.
        Some(event) => (event, fields.take("SequenceId")),
        None => (format!("transcription-{}", fields.take("TranscriptionStatus").unwrap_or_default()), None),
    };
    let live = fields.take("TranscriptionData").and_then(|data| serde_json::from_str::<Value>(&data).ok());
    let spoken = live.as_ref().and_then(|data| data.get("transcript")).and_then(Value::as_str).map(str::to_owned);
    let text = fields.take("TranscriptionText").or(spoken).filter(|_| fields.look("Final") != "false");
    fact.call.event = if text.is_some() { CallEventKind::Transcript } else { CallEventKind::Other };
    fact.occurred_at = moment(fields, "Timestamp");
    fact.identity = vec!["transcription".into(), sid, event.clone()];
    fact.identity.extend(part);
    fact.call.provider_event = event;
    fact.call.recording_url = fields.take("RecordingUrl");
    fact.language = fields.take("LanguageCode");
    fact.text = text.clone().unwrap_or_default();
    fact.call.transcript = text;
}

/// What `<Dial>` reports when the dialled leg is over: whether a person answered, and for how long they spoke.
fn dial_action(fact: &mut CallFact, fields: &mut Fields, received_at: Timestamp) {
    let status = fields.take("DialCallStatus").unwrap_or_default();
    let leg = fields.take("DialCallSid");
    let answered = matches!(status.as_str(), "completed" | "answered");
    fact.call.event = if answered { CallEventKind::Answered } else { CallEventKind::Other };
    fact.call.talk_ms = fields.take_ms("DialCallDuration").filter(|_| answered);
    // The request carries no time; it is sent when the leg ends, so the answer lies a conversation before it.
    fact.call.answered_at = fact.call.talk_ms.map(|talk| received_at.minus(Duration::from_millis(talk)));
    fact.call.recording_url = fields.take("RecordingUrl");
    fact.call.provider_event = format!("dial-{status}");
    fact.identity = vec!["dial".into(), leg.clone().unwrap_or_default(), status];
    fact.call.leg_id = leg;
}

/// `<Enqueue>`: where the caller waits, and how the waiting ended.
fn queue(fact: &mut CallFact, fields: &mut Fields) {
    let result = fields.take("QueueResult");
    let sid = fields.look("QueueSid").to_owned();
    fact.call.wait_ms = fields.take_ms("QueueTime").filter(|_| result.is_some());
    fact.call.event = match result.as_deref() {
        None => CallEventKind::Queued,
        Some("bridged" | "bridging-in-process" | "redirected-from-bridged") => CallEventKind::Answered,
        Some(_) => CallEventKind::Other,
    };
    fact.call.abandoned = (result.as_deref() == Some("hangup")).then_some(true);
    fact.call.queue = Some(fields.take("FriendlyName").unwrap_or_else(|| sid.clone())).filter(|name| !name.is_empty());
    let name = result.unwrap_or_else(|| "waiting".into());
    fact.identity = vec!["queue".into(), sid, name.clone()];
    fact.call.provider_event = format!("queue-{name}");
}

fn moment(fields: &mut Fields, name: &str) -> Timestamp {
    let at =
        fields.0.get(name).and_then(Value::as_str).and_then(|text| time::rfc2822(text).or_else(|| text.parse().ok()));
    if at.is_some() {
        fields.0.remove(name);
    }
    at.unwrap_or(Timestamp::UNKNOWN)
}

#[cfg(test)]
#[path = "twilio_tests.rs"]
mod tests;

//! What a payload says, read straight from it by the provider's documents and not by our code.

use super::payloads::Payload;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Columns and what must stand in them.
#[derive(Default)]
pub struct Facts(pub Vec<(&'static str, Value)>);

impl Facts {
    fn says(&mut self, column: &'static str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.0.push((column, value));
        }
    }

    /// What is otherwise in a stored row, in words.
    pub fn differences(&self, row: &Value) -> Vec<String> {
        let differs = |(column, wanted): &&(&'static str, Value)| {
            let found = &row[*column];
            let number = matches!(*column, "call_from" | "call_to");
            found != wanted && !(number && digits(found).is_some_and(|text| Some(text) == digits(wanted)))
        };
        let said = |(column, wanted): &(&'static str, Value)| format!("{column} is {}, not {wanted}", row[*column]);
        self.0.iter().filter(differs).map(said).collect()
    }

    /// Which event it is.
    pub fn summary(&self) -> String {
        self.0.iter().take(3).map(|(column, value)| format!("{column} {value}")).collect::<Vec<_>>().join(", ")
    }
}

/// A number is the same with or without spaces and `+`; who withholds it has none.
fn digits(value: &Value) -> Option<String> {
    let digits: String = value.as_str()?.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

fn text(fields: &Map<String, Value>, path: &str) -> Option<String> {
    let value = path.split('.').skip(1).fold(fields.get(path.split('.').next()?), |value, name| value?.get(name))?;
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn millis(fields: &Map<String, Value>, path: &str) -> Option<i64> {
    text(fields, path)?.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}

fn seconds(fields: &Map<String, Value>, path: &str) -> Option<i64> {
    text(fields, path)?.parse::<f64>().ok().map(|seconds| (seconds * 1000.0) as i64)
}

fn direction(name: Option<String>) -> Option<&'static str> {
    match name?.as_str() {
        "inbound" | "incoming" | "in" => Some("inbound"),
        "outbound" | "outgoing" | "out" | "outbound-api" | "outbound-dial" => Some("outbound"),
        _ => None,
    }
}

fn one_of(name: &str, table: &[(&str, &'static str)]) -> &'static str {
    table.iter().find(|(theirs, _)| *theirs == name).map_or("other", |(_, ours)| *ours)
}

/// The events of a payload; none when it is not of a call.
pub fn of(payload: &Payload) -> Result<Vec<Facts>> {
    if payload.provider == "asterisk" {
        return Ok(vec![asterisk(payload)?]);
    }
    let mut fields = payload.fields()?;
    Ok(match payload.provider {
        "twilio" => vec![twilio(&fields)],
        "vonage" => vec![vonage(&mut fields)],
        "aircall" => vec![aircall(&fields)],
        "telnyx" => telnyx(&fields).into_iter().collect(),
        "zammad_cti" => vec![zammad(&fields)],
        _ => vec![standard(&fields)],
    })
}

/// `Wed, 20 Apr 2022 23:45:25 +0000`, the weekday and the month at any length.
fn rfc2822(text: &str) -> Option<i64> {
    let date = text.split_once(',').map_or(text, |(_, date)| date);
    let mut words: Vec<String> = date.split_whitespace().map(str::to_owned).collect();
    words.get_mut(1)?.truncate(3);
    let at = jiff::Zoned::strptime("%d %b %Y %H:%M:%S %z", words.join(" "));
    at.ok().map(|at| at.timestamp().as_millisecond())
}

fn twilio(fields: &Map<String, Value>) -> Facts {
    let mut facts = Facts::default();
    let parent = text(fields, "ParentCallSid");
    facts.says("call_id", parent.clone().or(text(fields, "CallSid")));
    facts.says("call_from", text(fields, "From"));
    facts.says("call_to", text(fields, "To"));
    let outbound = direction(text(fields, "Direction"));
    facts.says("direction", outbound.filter(|_| parent.is_none()));
    facts.says("call_recording_url", text(fields, "RecordingUrl"));
    let status = text(fields, "CallStatus").unwrap_or_default();
    if let Some(words) = text(fields, "TranscriptionText") {
        facts.says("call_event", "transcript");
        facts.says("text", words.clone());
        facts.says("call_transcript", words);
    } else if let Some(status) = text(fields, "RecordingStatus") {
        let source = text(fields, "RecordingSource").unwrap_or_default();
        let made = if source == "RecordVerb" { "voicemail" } else { "recording" };
        facts.says("call_event", if status == "completed" { made } else { "other" });
        facts.says("occurred_ms", text(fields, "RecordingStartTime").as_deref().and_then(rfc2822));
    } else if fields.contains_key("AddOns") {
        facts.says("call_event", "other");
    } else if parent.is_none() && !fields.contains_key("DialCallStatus") && !fields.contains_key("RecordingUrl") {
        let answered = if outbound == Some("outbound") { "answered" } else { "other" };
        let rings = if outbound == Some("outbound") { "ringing" } else { "started" };
        let ends = ["completed", "busy", "no-answer", "canceled", "failed"].contains(&status.as_str());
        let table = [("queued", "started"), ("initiated", "started"), ("ringing", rings), ("in-progress", answered)];
        facts.says("call_event", if ends { "ended" } else { one_of(&status, &table) });
        facts.says("call_duration_ms", seconds(fields, "CallDuration"));
        facts.says("call_cause", ends.then(|| status.replace('-', "_")));
        facts.says("occurred_ms", text(fields, "Timestamp").as_deref().and_then(rfc2822));
    }
    facts
}

fn vonage(fields: &mut Map<String, Value>) -> Facts {
    for value in fields.values_mut() {
        let object =
            value.as_str().filter(|text| text.starts_with('{')).and_then(|text| serde_json::from_str(text).ok());
        *value = object.unwrap_or_else(|| value.take());
    }
    let mut facts = Facts::default();
    let call = ["conversation_uuid", "conversation_uuid_from", "uuid"];
    facts.says("call_id", call.iter().find_map(|name| text(fields, name)));
    facts.says("call_leg_id", text(fields, "uuid").or_else(|| text(fields, "call_uuid")));
    let (from, to) = (text(fields, "from"), text(fields, "to"));
    let way = direction(text(fields, "direction"));
    facts.says("direction", way);
    facts.says("call_from", from);
    facts.says("call_to", to);
    facts.says("occurred_ms", millis(fields, "timestamp"));
    facts.says("call_recording_url", text(fields, "recording_url"));
    facts.says("call_ivr_choice", text(fields, "dtmf.digits"));
    let answered = if way == Some("inbound") { "other" } else { "answered" };
    let status = text(fields, "status");
    let table = [
        ("started", "started"),
        ("ringing", "ringing"),
        ("answered", answered),
        ("machine", "voicemail"),
        ("transcribed", "transcript"),
        ("busy", "ended"),
        ("cancelled", "ended"),
        ("unanswered", "ended"),
        ("disconnected", "ended"),
        ("rejected", "ended"),
        ("failed", "ended"),
        ("timeout", "ended"),
        ("completed", "ended"),
    ];
    let event = match &status {
        Some(status) => one_of(status, &table),
        None if fields.contains_key("recording_url") => "recording",
        None if fields.contains_key("conversation_uuid_to") => "transferred",
        None if fields.contains_key("dtmf") || fields.contains_key("speech") || fields.contains_key("reason") => {
            "other"
        }
        None => "started",
    };
    facts.says("call_event", event);
    facts.says("call_provider_event", status.clone());
    if status.as_deref() == Some("completed") {
        facts.says("call_duration_ms", seconds(fields, "duration"));
        facts.says("ended_ms", millis(fields, "end_time"));
        facts.says("call_cause", "completed");
    }
    facts
}

fn aircall(fields: &Map<String, Value>) -> Facts {
    let mut facts = Facts::default();
    let event = text(fields, "event").unwrap_or_default();
    let way = direction(text(fields, "data.direction"));
    facts.says("call_id", text(fields, "data.id"));
    facts.says("direction", way);
    let (theirs, ours) = (text(fields, "data.raw_digits"), text(fields, "data.number.digits"));
    let (from, to) = if way == Some("outbound") { (ours, theirs) } else { (theirs, ours) };
    facts.says("call_from", from);
    facts.says("call_to", to);
    facts.says("call_provider_event", event.clone());
    let table = [
        ("call.created", "started"),
        ("call.ringing_on_agent", "ringing"),
        ("call.answered", "answered"),
        ("call.hold", "held"),
        ("call.unhold", "resumed"),
        ("call.transferred", "transferred"),
        ("call.hungup", "ended"),
        ("call.ended", "ended"),
        ("call.voicemail_left", "voicemail"),
        ("call.commented", "note"),
    ];
    facts.says("call_event", one_of(&event, &table));
    let (started, answered, ended) =
        (seconds(fields, "data.started_at"), seconds(fields, "data.answered_at"), seconds(fields, "data.ended_at"));
    facts.says("started_ms", started);
    facts.says("answered_ms", answered);
    facts.says("ended_ms", ended);
    let sent = seconds(fields, "timestamp");
    facts.says("occurred_ms", if one_of(&event, &table) == "ended" { ended } else { sent });
    facts.says("call_duration_ms", ended.and(seconds(fields, "data.duration")));
    facts.says("call_wait_ms", answered.zip(started).map(|(answered, started)| answered - started));
    facts.says("call_talk_ms", ended.zip(answered).map(|(ended, answered)| ended - answered));
    facts.says("call_agent", text(fields, "data.user.name"));
    let team = fields.get("data").and_then(|data| data.pointer("/teams/0/name")).cloned();
    facts.says("call_queue", team.or_else(|| text(fields, "data.number.name").map(Value::from)).unwrap_or_default());
    facts.says("call_recording_url", text(fields, "data.recording").or_else(|| text(fields, "data.voicemail")));
    if event == "call.commented" {
        let comments = fields.get("data").and_then(|data| data["comments"].as_array()).cloned().unwrap_or_default();
        facts.says("text", comments.last().map(|comment| comment["content"].clone()).unwrap_or_default());
    }
    facts
}

fn telnyx(fields: &Map<String, Value>) -> Option<Facts> {
    let data = fields.get("data").and_then(Value::as_object).unwrap_or(fields);
    let mut facts = Facts::default();
    facts.says("call_id", text(data, "payload.call_session_id")?);
    let event = text(data, "event_type").unwrap_or_default().replace('_', ".");
    facts.says("call_leg_id", text(data, "payload.call_leg_id"));
    facts.says("call_provider_event", event.clone());
    let way = direction(text(data, "payload.direction"));
    facts.says("direction", way);
    facts.says("call_from", text(data, "payload.from"));
    facts.says("call_to", text(data, "payload.to"));
    facts.says("occurred_ms", millis(data, "occurred_at").or_else(|| millis(data, "created_at")));
    let machine = text(data, "payload.result").is_some_and(|result| result.starts_with("machine"));
    let table = [
        ("call.initiated", "started"),
        ("call.answered", if way == Some("inbound") { "other" } else { "answered" }),
        ("call.bridged", "answered"),
        ("call.enqueued", "queued"),
        ("call.hangup", "ended"),
        ("call.recording.saved", "recording"),
        ("call.refer.completed", "transferred"),
        ("call.machine.detection.ended", if machine { "voicemail" } else { "other" }),
        ("call.machine.premium.detection.ended", if machine { "voicemail" } else { "other" }),
    ];
    if !event.contains("transcription") && !event.contains("hold") && !event.contains("held") {
        facts.says("call_event", one_of(&event, &table));
    }
    facts.says("call_queue", text(data, "payload.queue"));
    facts.says("call_ivr_choice", text(data, "payload.digits").or_else(|| text(data, "payload.digit")));
    facts.says("call_recording_url", text(data, "payload.recording_urls.mp3"));
    facts.says("started_ms", millis(data, "payload.start_time"));
    facts.says("ended_ms", millis(data, "payload.end_time"));
    Some(facts)
}

fn zammad(fields: &Map<String, Value>) -> Facts {
    let mut facts = Facts::default();
    facts.says("call_id", text(fields, "callId").or_else(|| text(fields, "call_id")));
    facts.says("direction", direction(text(fields, "direction")));
    facts.says("call_from", text(fields, "from"));
    facts.says("call_to", text(fields, "to"));
    facts.says("call_queue", text(fields, "queue"));
    let event = text(fields, "event").unwrap_or_default();
    let voicemail = text(fields, "user").or_else(|| text(fields, "answeringNumber")).as_deref() == Some("voicemail");
    let started = if text(fields, "queue").is_some() { "queued" } else { "started" };
    let taken = if voicemail { "voicemail" } else { "answered" };
    facts.says("call_event", one_of(&event, &[("newCall", started), ("answer", taken), ("hangup", "ended")]));
    facts.says("occurred_ms", 0);
    let causes = [("normalClearing", "completed"), ("cancel", "canceled"), ("noAnswer", "no_answer"), ("busy", "busy")];
    facts.says(
        "call_cause",
        text(fields, "cause")
            .and_then(|cause| causes.iter().find(|(theirs, _)| *theirs == cause).map(|(_, ours)| *ours)),
    );
    if event == "answer" && !voicemail {
        facts.says("call_agent", text(fields, "answeringNumber"));
    }
    facts
}

fn standard(fields: &Map<String, Value>) -> Facts {
    let mut facts = Facts::default();
    facts.says("call_id", text(fields, "call_id"));
    facts.says("call_from", text(fields, "from"));
    facts.says("call_to", text(fields, "to"));
    facts.says("call_agent", text(fields, "agent"));
    facts.says("call_queue", text(fields, "queue"));
    facts.says("occurred_ms", millis(fields, "occurred_at"));
    facts.says("direction", direction(text(fields, "direction")));
    facts
}

/// `cdr_csv` and `cel_custom` write these without a header.
const CDR: &str = "accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,billsec,\
                   disposition,amaflags,uniqueid,userfield,peeraccount,linkedid,sequence";
const CEL: &str = "eventtype,eventtime,cidname,cidnum,cidani,cidrdnis,ciddnid,exten,context,channame,appname,appdata,amaflags,\
                   accountcode,uniqueid,linkedid,bridgepeer,userfield,userdeftype,eventextra";

fn asterisk(payload: &Payload) -> Result<Facts> {
    let fields = if payload.content_type == super::payloads::JSON {
        payload.fields()?
    } else {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(payload.body.as_slice());
        let record = reader.records().next().context("an empty line")??;
        let names = if record.len() == 20 { CEL } else { CDR };
        names.split(',').map(str::to_owned).zip(record.iter().map(|value| json!(value))).collect()
    };
    let mut facts = Facts::default();
    facts.says("call_id", text(&fields, "linkedid").or_else(|| text(&fields, "uniqueid")));
    facts.says("call_leg_id", text(&fields, "uniqueid"));
    if let Some(event) = text(&fields, "eventtype") {
        facts.says(
            "occurred_ms",
            text(&fields, "eventtime").and_then(|at| Some((at.parse::<f64>().ok()? * 1000.0).round() as i64)),
        );
        facts.says("call_provider_event", event);
        return Ok(facts);
    }
    let local = |name: &str| {
        let at = text(&fields, name)?.parse::<jiff::civil::DateTime>().ok()?;
        at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp().as_millisecond())
    };
    facts.says("started_ms", local("start"));
    facts.says("ended_ms", local("end"));
    facts.says("occurred_ms", local("end"));
    facts.says("call_from", text(&fields, "src"));
    facts.says("call_to", text(&fields, "dst"));
    facts.says("call_duration_ms", seconds(&fields, "duration"));
    let disposition = text(&fields, "disposition").unwrap_or_default();
    let causes = [("ANSWERED", "completed"), ("NO ANSWER", "no_answer"), ("BUSY", "busy"), ("FAILED", "failed")];
    facts.says("call_cause", one_of(&disposition, &causes));
    let person = text(&fields, "dstchannel").is_some() && disposition == "ANSWERED";
    // A menu that answers is no person.
    facts.says("call_talk_ms", seconds(&fields, "billsec").filter(|_| person));
    facts.says("answered_ms", local("answer").filter(|_| person));
    Ok(facts)
}

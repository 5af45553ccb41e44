//! One CEL record: something that happened to a channel. The linked channel is the caller's; `LINKEDID_END` closes the call.

use super::{Row, Rows, endpoint};
use crate::{item::CallFact, provider::Undecodable};
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};

const KNOWN: &[&str] = &["eventtype", "eventname", "eventtime", "uniqueid", "linkedid", "cidnum", "exten"];

pub(super) fn fact(row: &Row, rows: &Rows) -> Result<CallFact, Undecodable> {
    let missing = |field: &str| Undecodable(format!("`{field}` is missing"));
    let name = row.get("eventtype").or(row.get("eventname")).ok_or_else(|| missing("eventtype"))?;
    let uniqueid = row.get("uniqueid").ok_or_else(|| missing("uniqueid"))?;
    let linkedid = row.get("linkedid").unwrap_or(uniqueid);
    let text = row.get("eventtime").ok_or_else(|| missing("eventtime"))?;
    let occurred_at: Timestamp =
        rows.time(text, Some(uniqueid)).ok_or_else(|| Undecodable("`eventtime` is not a time".into()))?;
    let is_caller = uniqueid == linkedid;
    let application = row.get("appname").unwrap_or_default().to_lowercase();
    let event = match name {
        "CHAN_START" if is_caller => CallEventKind::Started,
        "APP_START" if is_caller && application == "queue" => CallEventKind::Queued,
        "APP_START" if is_caller && application == "voicemail" => CallEventKind::Voicemail,
        // The caller's channel is answered by the dialplan; a person comes with a bridge.
        "BRIDGE_START" | "BRIDGE_ENTER" if is_caller => CallEventKind::Answered,
        "BLINDTRANSFER" | "ATTENDEDTRANSFER" => CallEventKind::Transferred,
        "HOLD" if is_caller => CallEventKind::Held,
        "UNHOLD" if is_caller => CallEventKind::Resumed,
        // With the caller's channel the customer is gone; LINKEDID_END may not be among the events that are logged.
        "HANGUP" if is_caller => CallEventKind::Ended,
        "LINKEDID_END" => CallEventKind::Ended,
        _ => CallEventKind::Other,
    };
    let queue = (event == CallEventKind::Queued)
        .then(|| row.get("appdata").and_then(|data| data.split(',').next()).map(str::to_owned))
        .flatten();
    let peer = row.get("bridgepeer").or(row.get("peer"));
    let context = row.get("context").unwrap_or_default().to_lowercase();
    let from_outside = ["trunk", "pstn", "did", "incoming", "inbound"].iter().any(|name| context.contains(name));
    let extra = row.get("eventextra").or(row.get("extra")).unwrap_or_default();
    let call = Call {
        cause: (name == "HANGUP" && is_caller).then(|| cause(extra)).flatten(),
        call_id: linkedid.to_owned(),
        leg_id: Some(uniqueid.to_owned()),
        event,
        provider_event: name.to_owned(),
        from: row.owned("cidnum").filter(|_| is_caller),
        to: row.owned("exten").filter(|_| is_caller),
        queue,
        agent: peer.filter(|_| event == CallEventKind::Answered).map(endpoint),
        provider_fields: row.rest(KNOWN),
        ..Call::default()
    };
    let channel = row.get("channame").unwrap_or_default();
    Ok(CallFact {
        direction: (is_caller && from_outside).then_some(Direction::Inbound),
        occurred_at,
        identity: [name, uniqueid, text, channel, peer.unwrap_or_default(), extra].map(str::to_owned).to_vec(),
        call,
        ..CallFact::default()
    })
}

/// Of a hang-up: `{"hangupcause":16,"dialstatus":"ANSWER",…}`, or `16,source,ANSWER` of older releases.
fn cause(extra: &str) -> Option<String> {
    let object: Option<serde_json::Value> = serde_json::from_str(extra).ok();
    let (code, dialled) = match &object {
        Some(object) => (object["hangupcause"].as_i64(), object["dialstatus"].as_str().unwrap_or_default()),
        None => {
            let parts: Vec<&str> = extra.split(',').collect();
            (parts.first().and_then(|code| code.parse().ok()), parts.last().copied().unwrap_or_default())
        }
    };
    let cause = match (dialled, code) {
        ("ANSWER", _) => "completed",
        ("BUSY", _) => "busy",
        ("NOANSWER", _) => "no_answer",
        ("CANCEL", _) => "canceled",
        ("CHANUNAVAIL" | "CONGESTION", _) => "failed",
        // Q.850: normal clearing, user busy, no user responding, no answer.
        (_, Some(16)) => "completed",
        (_, Some(17)) => "busy",
        (_, Some(18 | 19)) => "no_answer",
        _ => return None,
    };
    Some(cause.to_owned())
}

//! One CDR record: a path between two parties, known when it is over.

use super::{Row, Rows, endpoint};
use crate::{item::CallFact, provider::Undecodable};
use outcry_domain::{Call, CallEventKind, Direction, Timestamp};
use sha2::{Digest, Sha256};

/// Fields that have columns of their own in an item.
const KNOWN: &[&str] = &[
    "uniqueid",
    "linkedid",
    "src",
    "dst",
    "start",
    "calldate",
    "answer",
    "end",
    "duration",
    "billsec",
    "recordingfile",
    "did",
    "cnum",
    "cnam",
];

/// From so many digits on, a number is a telephone number and not an extension.
const NUMBER_DIGITS: usize = 7;

fn is_number(text: Option<&str>) -> bool {
    text.is_some_and(|text| {
        let digits = text.chars().filter(char::is_ascii_digit).count();
        digits >= NUMBER_DIGITS && text.chars().all(|letter| letter.is_ascii_digit() || "+-() .".contains(letter))
    })
}

/// A record does not say: FreePBX's DID, the dialplan's context, and who has a telephone number, in this order.
fn direction(row: &Row, from: Option<&str>, to: Option<&str>) -> Option<Direction> {
    let context = row.get("dcontext").unwrap_or_default().to_lowercase();
    if row.get("did").is_some()
        || ["from-trunk", "from-pstn", "from-did", "incoming", "inbound"].iter().any(|name| context.contains(name))
    {
        return Some(Direction::Inbound);
    }
    if context.contains("outbound") || context.contains("outgoing") {
        return Some(Direction::Outbound);
    }
    match (is_number(from), is_number(to)) {
        (true, _) => Some(Direction::Inbound),
        (false, true) => Some(Direction::Outbound),
        // A withheld caller reaches us all the same; two extensions are an internal call.
        (false, false) => from.is_none().then_some(Direction::Inbound),
    }
}

pub(super) fn fact(row: &Row, rows: &Rows) -> Result<CallFact, Undecodable> {
    let uniqueid = row.get("uniqueid");
    let time = |name: &str| row.get(name).and_then(|text| rows.time(text, uniqueid));
    let started_at = time("start").or_else(|| time("calldate"));
    let started_at = started_at.ok_or_else(|| Undecodable("neither `start` nor `calldate` is a time".into()))?;
    let seconds = |name: &str| row.get(name).and_then(|text| text.parse::<u64>().ok());
    let (duration, billed) = (seconds("duration"), seconds("billsec"));
    let after = |seconds: u64| started_at.plus(std::time::Duration::from_secs(seconds));
    let ended_at = time("end").or_else(|| duration.map(after)).unwrap_or(started_at);

    let from = row.owned("cnum").or_else(|| row.owned("src")).or_else(|| caller_number(row.get("clid")));
    let to = row.owned("did").or_else(|| row.owned("dst"));
    let direction = direction(row, from.as_deref(), to.as_deref());
    let application = row.get("lastapp").unwrap_or_default().to_lowercase();
    let answered = row.get("disposition").is_some_and(|disposition| disposition.eq_ignore_ascii_case("ANSWERED"));
    // Without a second channel it was a menu, music or voicemail that answered, not a person.
    let spoke = answered && row.get("dstchannel").is_some();
    let queue = (application == "queue")
        .then(|| row.get("lastdata").and_then(|data| data.split(',').next()).map(str::to_owned))
        .flatten();
    let event = match (application.as_str(), row.get("dstchannel")) {
        ("voicemail", _) => CallEventKind::Voicemail,
        (_, Some(_)) if !answered => CallEventKind::Ringing,
        _ => CallEventKind::Ended,
    };
    let answered_at = spoke
        .then(|| {
            time("answer")
                .or_else(|| Some(started_at.plus(std::time::Duration::from_secs(duration? - billed?.min(duration?)))))
        })
        .flatten();
    let agent = if direction == Some(Direction::Outbound) {
        row.get("channel")
    } else {
        row.get("dstchannel").filter(|_| spoke)
    };
    let digest = || hash(row);
    let call_id = row.owned("linkedid").or_else(|| row.owned("uniqueid")).unwrap_or_else(digest);
    let identity = match (uniqueid, row.get("sequence")) {
        (Some(uniqueid), Some(sequence)) => vec!["cdr".to_owned(), uniqueid.to_owned(), sequence.to_owned()],
        // `uniqueid` alone repeats.
        _ => vec!["cdr".to_owned(), digest()],
    };
    let call = Call {
        call_id,
        leg_id: row.owned("uniqueid"),
        event,
        provider_event: format!("cdr {}", row.get("disposition").unwrap_or("unknown").to_lowercase()),
        from,
        to,
        abandoned: (queue.is_some() && row.get("dstchannel").is_none()).then_some(true),
        queue,
        agent: agent.map(endpoint),
        talk_ms: billed.filter(|_| spoke).map(|seconds| seconds * 1000),
        duration_ms: duration.map(|seconds| seconds * 1000),
        started_at: Some(started_at),
        answered_at,
        ended_at: Some(ended_at),
        cause: Some(cause(row.get("disposition").unwrap_or_default())),
        recording_url: row.owned("recordingfile"),
        provider_fields: row.rest(KNOWN),
        ..Call::default()
    };
    let customer_name = row.owned("cnam").or_else(|| caller_name(row.get("clid")));
    Ok(CallFact {
        call,
        direction,
        customer_name: customer_name.filter(|_| direction == Some(Direction::Inbound)),
        occurred_at: ended_at,
        identity,
        revision: Some(Timestamp::as_millis(ended_at)),
        ..CallFact::default()
    })
}

fn cause(disposition: &str) -> String {
    match disposition {
        "ANSWERED" => "completed",
        "NO ANSWER" => "no_answer",
        "BUSY" => "busy",
        _ => "failed",
    }
    .to_owned()
}

/// `"Test User" <100>`: the name, unless it is the number again.
fn caller_name(clid: Option<&str>) -> Option<String> {
    let (name, _) = clid?.rsplit_once('<')?;
    let name = name.trim().trim_matches('"').trim();
    (!name.is_empty() && !is_number(Some(name))).then(|| name.to_owned())
}

fn caller_number(clid: Option<&str>) -> Option<String> {
    let number = clid?.rsplit_once('<')?.1.trim_end_matches('>');
    (!number.is_empty()).then(|| number.to_owned())
}

/// Of all fields, in the order of their names.
fn hash(row: &Row) -> String {
    let mut fields: Vec<(&str, &str)> = row.0.iter().map(|(name, value)| (&**name, value.as_str())).collect();
    fields.sort();
    let mut hasher = Sha256::new();
    for (name, value) in fields {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update((value.len() as u64).to_le_bytes());
        hasher.update(value);
    }
    hex::encode(&hasher.finalize()[..16])
}

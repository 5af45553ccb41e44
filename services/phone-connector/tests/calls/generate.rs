//! Calls as each provider tells of them, with what is true of each. Shapes of the payloads: the providers' documents, as in the tests of
//! each provider's file.

use serde_json::{Value, json};

/// One webhook or record, and when it is received.
pub struct Sent {
    pub second: i64,
    pub body: String,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Menu, queue, one agent.
    Taken,
    /// The first agent hands it to a second.
    HandedOver,
    /// The caller hangs up in the queue.
    GivenUp,
    /// The caller hangs up in the menu, which had answered.
    LeftInMenu,
    /// Nobody takes it; the caller leaves a message.
    Message,
    /// Ours, and a person answers.
    Outbound,
    /// Ours, to a mobile that cannot be reached: it never rings.
    Unreachable,
}

pub const STORIES: [Story; 7] = [
    Story::Taken,
    Story::HandedOver,
    Story::GivenUp,
    Story::LeftInMenu,
    Story::Message,
    Story::Outbound,
    Story::Unreachable,
];

/// A call to tell of.
pub struct Plan {
    pub id: String,
    pub story: Story,
    /// When it begins, in seconds since 1970.
    pub start: i64,
    /// Until a person takes it, or the caller gives up.
    pub wait: i64,
    /// With the first agent, and with the second.
    pub talk: [i64; 2],
}

impl Plan {
    pub fn inbound(&self) -> bool {
        !matches!(self.story, Story::Outbound | Story::Unreachable)
    }

    pub fn taken(&self) -> bool {
        matches!(self.story, Story::Taken | Story::HandedOver | Story::Outbound)
    }

    pub fn talked(&self) -> i64 {
        match self.story {
            Story::HandedOver => self.talk[0] + self.talk[1],
            Story::Taken | Story::Outbound => self.talk[0],
            _ => 0,
        }
    }

    fn answered(&self) -> i64 {
        self.start + self.wait
    }

    fn end(&self) -> i64 {
        self.answered() + self.talked() + if self.story == Story::Message { 9 } else { 0 }
    }

    /// Each agent of the call with the beginning and the end of the conversation.
    fn turns(&self) -> Vec<(&'static str, i64, i64)> {
        let first = (self.answered(), self.answered() + self.talk[0]);
        match self.story {
            Story::Taken | Story::Outbound => vec![("ana", first.0, first.1)],
            Story::HandedOver => vec![("ana", first.0, first.1), ("eva", first.1, self.end())],
            _ => Vec::new(),
        }
    }
}

const CUSTOMER: &str = "+390212345678";
const OURS: &str = "+39021111111";

fn iso(second: i64) -> String {
    jiff::Timestamp::from_second(second).expect("a time").to_string()
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The events of a call, in the order in which they happen.
pub fn tell(provider: &str, plan: &Plan) -> Vec<Sent> {
    let mut told = Vec::new();
    let mut tell = |second: i64, body: String| told.push(Sent { second, body });
    match provider {
        "twilio" => twilio(plan, &mut tell),
        "vonage" => vonage(plan, &mut |second, body| tell(second, body.to_string())),
        "aircall" => aircall(plan, &mut |second, body| tell(second, body.to_string())),
        "telnyx" => telnyx(plan, &mut |second, body| tell(second, body.to_string())),
        "zammad_cti" => zammad(plan, &mut |second, body| tell(second, body.to_string())),
        "standard" => standard(plan, &mut |second, body| tell(second, body.to_string())),
        _ => asterisk(plan, &mut |second, body| tell(second, body.to_string())),
    }
    told
}

fn twilio(plan: &Plan, tell: &mut dyn FnMut(i64, String)) {
    let at = |second: i64| {
        let time = jiff::Timestamp::from_second(second).expect("a time");
        time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    };
    let id = plan.id.as_str();
    if !plan.inbound() {
        let status = |second: i64, name: &str, sequence: &str, more: &[(&str, &str)]| {
            let time = at(second);
            let base = [
                ("CallSid", id),
                ("CallStatus", name),
                ("Direction", "outbound-api"),
                ("From", OURS),
                ("To", CUSTOMER),
                ("SequenceNumber", sequence),
                ("Timestamp", &time),
            ];
            (second, form(&[&base[..], more].concat()))
        };
        let talk = plan.talked().to_string();
        let mut events = vec![status(plan.start, "initiated", "0", &[])];
        if plan.story == Story::Outbound {
            events.push(status(plan.start + 1, "ringing", "1", &[]));
            events.push(status(plan.answered(), "in-progress", "2", &[]));
            events.push(status(plan.end(), "completed", "3", &[("CallDuration", &talk)]));
        } else {
            events.push(status(plan.answered(), "no-answer", "1", &[("CallDuration", "0")]));
        }
        events.into_iter().for_each(|(second, body)| tell(second, body));
        return;
    }
    let call = |status: &'static str| {
        [("CallSid", id), ("CallStatus", status), ("Direction", "inbound"), ("From", CUSTOMER), ("To", OURS)]
    };
    tell(plan.start, form(&call("ringing")));
    tell(plan.start + 1, form(&[&call("in-progress")[..], &[("Digits", "2")]].concat()));
    if plan.story != Story::LeftInMenu {
        let waits = [("QueueSid", "QU1"), ("QueueTime", "0"), ("QueuePosition", "1")];
        tell(plan.start + 2, form(&[&call("in-progress")[..], &waits].concat()));
    }
    for (agent, from, to) in plan.turns() {
        let (leg, client, talk) = (format!("{id}-{agent}"), format!("client:{agent}"), (to - from).to_string());
        for (second, status, sequence) in [(from, "in-progress", "1"), (to, "completed", "2")] {
            let time = at(second);
            tell(
                second,
                form(&[
                    ("CallSid", &leg),
                    ("ParentCallSid", id),
                    ("CallStatus", status),
                    ("Direction", "outbound-dial"),
                    ("To", &client),
                    ("SequenceNumber", sequence),
                    ("Timestamp", &time),
                ]),
            );
        }
        let dialled = [("DialCallSid", leg.as_str()), ("DialCallStatus", "completed"), ("DialCallDuration", &talk)];
        tell(to, form(&[&call("in-progress")[..], &dialled].concat()));
    }
    if plan.story == Story::GivenUp {
        let waited = plan.wait.to_string();
        let left = [("QueueSid", "QU1"), ("QueueResult", "hangup"), ("QueueTime", waited.as_str())];
        tell(plan.end(), form(&[&call("completed")[..], &left].concat()));
    }
    if plan.story == Story::Message {
        let recorded = [("RecordingSid", "RE1"), ("RecordingUrl", "https://r.example/1"), ("RecordingDuration", "9")];
        tell(plan.end(), form(&[&call("in-progress")[..], &recorded].concat()));
    }
    let (time, lasted) = (at(plan.end()), (plan.end() - plan.start).to_string());
    let over = [
        ("CallDuration", lasted.as_str()),
        ("SequenceNumber", "0"),
        ("Timestamp", &time),
        ("CallbackSource", "call-progress-events"),
    ];
    tell(plan.end(), form(&[&call("completed")[..], &over].concat()));
}

fn vonage(plan: &Plan, tell: &mut dyn FnMut(i64, Value)) {
    let event = |leg: &str, direction: &str, status: &str, second: i64| {
        let (from, to) = if direction == "inbound" { (CUSTOMER, OURS) } else { (OURS, "390287654321") };
        let to = if plan.inbound() || direction == "inbound" { to } else { CUSTOMER };
        json!({ "conversation_uuid": plan.id, "uuid": format!("{}-{leg}", plan.id), "direction": direction, "status": status,
            "from": from.trim_start_matches('+'), "to": to.trim_start_matches('+'), "timestamp": iso(second) })
    };
    let completed = |leg: &str, direction: &str, from: i64, to: i64| {
        let mut over = event(leg, direction, "completed", to);
        over["start_time"] = json!(iso(from));
        over["end_time"] = json!(iso(to));
        over["duration"] = json!((to - from).to_string());
        over
    };
    if plan.inbound() {
        for (second, status) in [(0, "started"), (0, "ringing"), (1, "answered")] {
            tell(plan.start + second, event("in", "inbound", status, plan.start + second));
        }
        let leg = event("in", "inbound", "", plan.start + 2);
        tell(
            plan.start + 2,
            json!({ "conversation_uuid": plan.id, "uuid": leg["uuid"], "dtmf": { "digits": "2" }, "timestamp": iso(plan.start + 2) }),
        );
    }
    for (agent, from, to) in plan.turns() {
        tell(from - 1, event(agent, "outbound", "started", from - 1));
        tell(from - 1, event(agent, "outbound", "ringing", from - 1));
        tell(from, event(agent, "outbound", "answered", from));
        tell(to, completed(agent, "outbound", from, to));
    }
    if plan.story == Story::HandedOver {
        let second = plan.turns()[0].2;
        tell(
            second,
            json!({ "uuid": format!("{}-in", plan.id), "conversation_uuid_from": plan.id, "conversation_uuid_to": plan.id, "timestamp": iso(second) }),
        );
    }
    if plan.story == Story::Unreachable {
        tell(plan.start, event("out", "outbound", "started", plan.start));
        tell(plan.end(), event("out", "outbound", "unanswered", plan.end()));
    }
    if plan.inbound() {
        tell(plan.end(), completed("in", "inbound", plan.start + 1, plan.end()));
    }
}

fn aircall(plan: &Plan, tell: &mut dyn FnMut(i64, Value)) {
    let turns = plan.turns();
    let event = |name: &str, second: i64, agent: Option<&str>, over: bool| {
        let answered = turns.first().map(|turn| turn.1).filter(|answered| *answered <= second);
        let missed = match plan.story {
            Story::GivenUp => Some("abandoned_in_classic"),
            Story::LeftInMenu => Some("abandoned_in_ivr"),
            Story::Message | Story::Unreachable => Some("agents_did_not_answer"),
            _ => None,
        };
        let mut data = json!({ "id": plan.id, "direction": if plan.inbound() { "inbound" } else { "outbound" }, "started_at": plan.start,
            "answered_at": answered, "ended_at": over.then(|| plan.end()), "duration": if over { plan.end() - plan.start } else { 0 },
            "missed_call_reason": missed.filter(|_| over), "raw_digits": CUSTOMER, "number": { "name": "Care", "digits": OURS } });
        if let Some(agent) = agent {
            data["user"] = json!({ "name": agent });
        }
        json!({ "resource": "call", "event": name, "timestamp": second, "token": "token", "data": data })
    };
    tell(plan.start, event("call.created", plan.start, None, false));
    for (index, (agent, from, _)) in turns.iter().enumerate() {
        let name = if index == 0 { "call.answered" } else { "call.transferred" };
        tell(*from, event(name, *from, Some(agent), false));
    }
    let last = turns.last().map(|turn| turn.0);
    if plan.story == Story::Message {
        tell(plan.end(), event("call.voicemail_left", plan.end(), None, true));
    }
    tell(plan.end(), event("call.hungup", plan.end(), last, true));
    tell(plan.end() + 30, event("call.ended", plan.end() + 30, last, true));
    tell(plan.end() + 40, event("call.tagged", plan.end() + 40, last, true));
}

fn telnyx(plan: &Plan, tell: &mut dyn FnMut(i64, Value)) {
    let event = |name: &str, leg: &str, second: i64, more: Value| {
        let mut payload = json!({ "call_session_id": plan.id, "call_leg_id": format!("{}-{leg}", plan.id), "from": CUSTOMER, "to": OURS });
        payload.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "data": { "record_type": "event", "event_type": name, "id": format!("{name}-{leg}-{second}"), "occurred_at": iso(second), "payload": payload } })
    };
    let none = || json!({});
    let ends = json!({ "from": OURS, "to": CUSTOMER });
    if plan.inbound() {
        tell(
            plan.start,
            event("call.initiated", "in", plan.start, json!({ "direction": "incoming", "state": "parked" })),
        );
        tell(plan.start + 1, event("call.answered", "in", plan.start + 1, none()));
        tell(plan.start + 2, event("call.gather.ended", "in", plan.start + 2, json!({ "digits": "2" })));
        if plan.story != Story::LeftInMenu {
            tell(plan.start + 3, event("call.enqueued", "in", plan.start + 3, json!({ "queue": "care" })));
        }
    } else {
        let mut more = ends.clone();
        more["direction"] = json!("outgoing");
        tell(plan.start, event("call.initiated", "ana", plan.start, more));
    }
    for (agent, from, to) in plan.turns() {
        if plan.inbound() {
            tell(
                from - 1,
                event(
                    "call.initiated",
                    agent,
                    from - 1,
                    json!({ "direction": "outgoing", "from": OURS, "to": "sip:agent@acme.example" }),
                ),
            );
            tell(from, event("call.bridged", "in", from, none()));
        }
        tell(from, event("call.answered", agent, from, if plan.inbound() { none() } else { ends.clone() }));
        tell(
            to,
            event(
                "call.hangup",
                agent,
                to,
                json!({ "hangup_cause": "normal_clearing", "start_time": iso(from - 1), "end_time": iso(to) }),
            ),
        );
    }
    match plan.story {
        Story::HandedOver => tell(plan.turns()[0].2, event("call.refer.completed", "in", plan.turns()[0].2, none())),
        Story::GivenUp => {
            tell(plan.end(), event("call.dequeued", "in", plan.end(), json!({ "queue": "care", "reason": "hangup" })))
        }
        Story::Message => {
            tell(plan.end(), event("call.machine.detection.ended", "in", plan.end(), json!({ "result": "machine" })))
        }
        Story::Unreachable => {
            tell(plan.end(), event("call.hangup", "ana", plan.end(), json!({ "hangup_cause": "timeout" })))
        }
        _ => {}
    }
    if plan.inbound() {
        tell(
            plan.end(),
            event(
                "call.hangup",
                "in",
                plan.end(),
                json!({ "hangup_cause": "normal_clearing", "start_time": iso(plan.start), "end_time": iso(plan.end()) }),
            ),
        );
    }
}

fn zammad(plan: &Plan, tell: &mut dyn FnMut(i64, Value)) {
    let (direction, from, to) = if plan.inbound() { ("in", CUSTOMER, OURS) } else { ("out", OURS, CUSTOMER) };
    let event = |name: &str, more: Value| {
        let mut event = json!({ "event": name, "callId": plan.id, "direction": direction, "from": from.trim_start_matches('+'), "to": to.trim_start_matches('+') });
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        event
    };
    let queue = if plan.inbound() && plan.story != Story::LeftInMenu { json!({ "queue": "care" }) } else { json!({}) };
    tell(plan.start, event("newCall", queue));
    for (agent, second, _) in plan.turns() {
        tell(second, event("answer", json!({ "user": agent })));
    }
    if plan.story == Story::Message {
        tell(plan.answered(), event("answer", json!({ "user": "voicemail" })));
    }
    let cause = match plan.story {
        Story::GivenUp => "cancel",
        Story::Unreachable => "noAnswer",
        _ => "normalClearing",
    };
    tell(plan.end(), event("hangup", json!({ "cause": cause })));
}

fn standard(plan: &Plan, tell: &mut dyn FnMut(i64, Value)) {
    let event = |name: &str, second: i64, more: Value| {
        let (direction, from, to) =
            if plan.inbound() { ("inbound", CUSTOMER, OURS) } else { ("outbound", OURS, CUSTOMER) };
        let mut event = json!({ "type": format!("call.{name}"), "call_id": plan.id, "occurred_at": iso(second), "direction": direction, "from": from, "to": to });
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        event
    };
    tell(plan.start, event("started", plan.start, json!({})));
    if plan.inbound() && plan.story != Story::LeftInMenu {
        tell(plan.start + 3, event("queued", plan.start + 3, json!({ "queue": "care", "ivr_choice": "2" })));
    }
    for (index, (agent, second, _)) in plan.turns().into_iter().enumerate() {
        let name = if index == 0 { "answered" } else { "transferred" };
        tell(second, event(name, second, json!({ "agent": agent, "leg_id": agent })));
    }
    if plan.story == Story::Message {
        tell(plan.end(), event("voicemail", plan.end(), json!({ "recording_url": "https://r.example/1" })));
    }
    tell(plan.end(), event("ended", plan.end(), json!({ "cause": "completed" })));
    tell(plan.end() + 60, event("transcript", plan.end() + 60, json!({ "transcript": "it broke" })));
}

/// Records of a queue that rings five phones for each agent.
fn asterisk(plan: &Plan, tell: &mut dyn FnMut(i64, Value)) {
    let local = |second: i64| iso(second).replace('T', " ").trim_end_matches('Z').to_owned();
    let mut sequence = 0;
    let mut record = |start: i64, answer: Option<i64>, end: i64, peer: &str, application: &str, disposition: &str| {
        sequence += 1;
        let (src, dst, context) =
            if plan.inbound() { (CUSTOMER, "600", "from-trunk") } else { ("200", CUSTOMER, "outbound-routes") };
        json!({ "src": src, "dst": dst, "dcontext": context, "channel": if plan.inbound() { "SIP/trunk-01" } else { "SIP/ana-01" }, "dstchannel": peer,
            "lastapp": application, "lastdata": if application == "Queue" { "care,t" } else { "" }, "start": local(start),
            "answer": answer.map(local), "end": local(end), "duration": end - start, "billsec": answer.map_or(0, |answer| end - answer),
            "disposition": disposition, "uniqueid": plan.id, "linkedid": plan.id, "sequence": sequence })
    };
    let turns = plan.turns();
    let application = if plan.inbound() { "Queue" } else { "Dial" };
    for (index, (agent, from, to)) in turns.iter().enumerate() {
        let start = if index == 0 { plan.start } else { *from };
        if plan.inbound() && index == 0 {
            for phone in 1..5 {
                tell(
                    plan.end(),
                    record(start, None, *from, &format!("SIP/phone{phone}-0{phone}"), "Queue", "NO ANSWER"),
                );
            }
        }
        tell(plan.end(), record(start, Some(*from), *to, &format!("SIP/{agent}-0a"), application, "ANSWERED"));
    }
    let (start, end) = (plan.start, plan.end());
    match plan.story {
        Story::GivenUp => {
            tell(end, record(start, None, end, "SIP/phone1-01", "Queue", "NO ANSWER"));
            tell(end, record(start, Some(start + 1), end, "", "Queue", "ANSWERED"));
        }
        Story::LeftInMenu => tell(end, record(start, Some(start + 1), end, "", "BackGround", "ANSWERED")),
        Story::Message => tell(end, record(start, Some(start + 1), end, "", "VoiceMail", "ANSWERED")),
        Story::Unreachable => tell(end, record(start, None, end, "SIP/trunk-02", "Dial", "NO ANSWER")),
        _ => {}
    }
}

//! Records as the CDR and CEL specifications show them.

use super::*;
use outcry_domain::{CallEventKind, Direction};

fn rows(zone: &str, body: &str) -> Result<Vec<CallFact>, Undecodable> {
    Rows::new(zone).parse(body.as_bytes())
}

/// A CDR line of 21 columns.
fn cdr(dstchannel: &str, application: &str, answer: &str, billsec: u32, disposition: &str, sequence: u32) -> String {
    format!(
        "\"\",\"+390212345678\",\"+39021111111\",\"from-trunk\",\"\"\"Eva\"\" <+390212345678>\",\"SIP/trunk-00000001\",\"{dstchannel}\",\"{application}\",\"care,t\",\
         \"2026-03-01 10:00:00\",\"{answer}\",\"2026-03-01 10:01:10\",70,{billsec},\"{disposition}\",\"DOCUMENTATION\",\"pbx-1772355600.7\",\"\",\"\",\"pbx-1772355600.7\",{sequence}\n"
    )
}

/// Edge case 40: a queue of five phones leaves five records; they are one call, which was answered once.
#[test]
fn a_queue_of_five_phones_is_one_call() {
    let mut body: String = (1..5)
        .map(|phone| cdr(&format!("SIP/phone{phone}-0000000{phone}"), "Queue", "", 0, "NO ANSWER", phone))
        .collect();
    body += &cdr("SIP/phone5-00000005", "Queue", "2026-03-01 10:00:10", 60, "ANSWERED", 5);
    let facts = rows("UTC", &body).unwrap();
    assert_eq!(facts.len(), 5);
    assert!(
        facts.iter().all(|fact| fact.call.call_id == "pbx-1772355600.7" && fact.call.queue.as_deref() == Some("care"))
    );
    let identities: std::collections::BTreeSet<_> = facts.iter().map(|fact| fact.identity.clone()).collect();
    assert_eq!(identities.len(), 5);
    assert!(facts[..4].iter().all(|fact| fact.call.event == CallEventKind::Ringing
        && fact.call.answered_at.is_none()
        && fact.call.agent.is_none()));
    let answered = &facts[4];
    assert_eq!((answered.call.event, answered.call.talk_ms), (CallEventKind::Ended, Some(60_000)));
    assert_eq!(answered.call.answered_at.unwrap().to_string(), "2026-03-01T10:00:10.000Z");
    assert_eq!((answered.call.agent.as_deref(), answered.direction), (Some("SIP/phone5"), Some(Direction::Inbound)));
    assert_eq!(answered.customer_name.as_deref(), Some("Eva"));
}

/// Edge case 41: the menu answered, the caller hung up in the queue.
#[test]
fn a_menu_that_answers_is_not_a_person() {
    let facts = rows("UTC", &cdr("", "Queue", "2026-03-01 10:00:01", 69, "ANSWERED", 1)).unwrap();
    let call = &facts[0].call;
    assert_eq!(
        (call.event, call.answered_at, call.talk_ms, call.abandoned),
        (CallEventKind::Ended, None, None, Some(true))
    );
    let voicemail = rows("UTC", &cdr("", "VoiceMail", "2026-03-01 10:00:01", 69, "ANSWERED", 1)).unwrap();
    assert_eq!(voicemail[0].call.event, CallEventKind::Voicemail);
}

#[test]
fn sixteen_seventeen_and_eighteen_columns_and_a_header() {
    let line = |more: &str| {
        format!(
            "\"\",\"100\",\"0212345678\",\"default\",\"\",\"SIP/ana-01\",\"SIP/trunk-02\",\"Dial\",\"\",\"2026-03-01 10:00:00\",\"\",\"2026-03-01 10:00:07\",7,0,\"BUSY\",\"DOCUMENTATION\"{more}"
        )
    };
    for more in ["", ",\"1772355600.0\"", ",\"1772355600.0\",\"note\""] {
        let facts = rows("UTC", &line(more)).unwrap();
        assert_eq!((facts.len(), facts[0].direction), (1, Some(Direction::Outbound)), "{more}");
        assert_eq!(facts[0].call.cause.as_deref(), Some("busy"));
        assert!(!facts[0].call.call_id.is_empty());
    }
    let freepbx = "calldate,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,uniqueid,did,recordingfile,cnum,cnam,linkedid,sequence\n\
        2026-03-01 11:00:00,x,+390212345678,600,ext-queues,SIP/t-01,SIP/200-02,Queue,600,70,60,ANSWERED,1772355600.1,39021111111,q-600.wav,+390212345678,Eva,1772355600.1,3\n";
    let facts = rows("Europe/Rome", freepbx).unwrap();
    let call = &facts[0].call;
    assert_eq!((call.to.as_deref(), call.recording_url.as_deref()), (Some("39021111111"), Some("q-600.wav")));
    assert_eq!(call.started_at.unwrap().to_string(), "2026-03-01T10:00:00.000Z");
    assert_eq!(call.answered_at.unwrap().to_string(), "2026-03-01T10:00:10.000Z", "duration less billsec");
}

/// The hour at the end of summer time comes twice; the epoch in the channel's id tells which it was.
#[test]
fn the_epoch_in_the_id_decides_an_ambiguous_hour() {
    let line = |epoch: i64| format!("uniqueid,start,src\n{epoch}.5,2025-10-26 02:30:00,+390212345678\n");
    for (epoch, expected) in [(1_761_438_600, "2025-10-26T00:30:00.000Z"), (1_761_442_200, "2025-10-26T01:30:00.000Z")]
    {
        let facts = rows("Europe/Rome", &line(epoch)).unwrap();
        assert_eq!(facts[0].call.started_at.unwrap().to_string(), expected);
    }
}

#[test]
fn events_of_channels() {
    let line = |event: &str, unique: &str, application: &str, peer: &str| {
        format!(
            "\"{event}\",\"1335310195.513823\",\"\",\"+390212345678\",\"\",\"\",\"\",\"s\",\"from-trunk\",\"SIP/x-01\",\"{application}\",\"care,t\",\"3\",\"\",\"{unique}\",\"1335310195.0\",\"{peer}\",\"\",\"\",\"\"\n"
        )
    };
    let body = [
        line("CHAN_START", "1335310195.0", "", ""),
        line("ANSWER", "1335310195.0", "Playback", ""),
        line("APP_START", "1335310195.0", "Queue", ""),
        line("CHAN_START", "1335310195.1", "", ""),
        line("BRIDGE_START", "1335310195.0", "Queue", "SIP/ana-02"),
        line("HANGUP", "1335310195.1", "", ""),
        line("LINKEDID_END", "1335310195.0", "", ""),
    ]
    .concat();
    let facts = rows("UTC", &body).unwrap();
    let events: Vec<_> = facts.iter().map(|fact| fact.call.event).collect();
    use CallEventKind::{Answered, Ended, Other, Queued, Started};
    assert_eq!(events, [Started, Other, Queued, Other, Answered, Other, Ended]);
    assert_eq!(facts[4].call.agent.as_deref(), Some("SIP/ana"));
    assert_eq!(facts[0].occurred_at.to_string(), "2012-04-24T23:29:55.514Z");
    assert!(facts.iter().all(|fact| fact.call.call_id == "1335310195.0"));
}

#[test]
fn json_records_say_the_same_and_bad_ones_are_named() {
    let one = r#"{"Src":"+390212345678","dst":"600","dcontext":"from-pstn","start":"2026-03-01 10:00:00","end":"2026-03-01 10:00:09","duration":9,"billsec":0,"disposition":"NO ANSWER","uniqueid":"1.1","linkedid":"1.1","sequence":4}"#;
    assert_eq!(rows("UTC", one).unwrap()[0].identity, ["cdr", "1.1", "4"]);
    assert_eq!(rows("UTC", &format!("[{one},{one}]")).unwrap().len(), 2);
    assert_eq!(rows("UTC", &format!("{one}\n{one}\n")).unwrap().len(), 2);
    for (body, reason) in [
        ("", "empty"),
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("a,b,c", "3 columns"),
        ("uniqueid,start\n1.1,never\n", "record 1: neither `start`"),
        (r#"{"eventtype":"ANSWER"}"#, "`uniqueid` is missing"),
    ] {
        let error = rows("UTC", body).unwrap_err().to_string();
        assert!(error.contains(reason), "{body}: {error}");
    }
}

/// `cdr_custom.conf.sample`: any columns, another separator.
#[test]
fn another_separator_is_told_by_the_header() {
    for separator in [";", "\t", "|"] {
        let body = "uniqueid,start,src,lastdata\n1.1,2026-03-01 10:00:00,+390212345678,care\n".replace(',', separator);
        let facts = rows("UTC", &body).unwrap();
        assert_eq!((facts.len(), facts[0].call.from.as_deref()), (1, Some("+390212345678")), "{separator:?}");
    }
}

/// The manager interface names the fields otherwise (manager events `Cdr` and `CEL`).
#[test]
fn events_of_the_manager_interface_say_the_same() {
    let cdr = r#"{"Event":"Cdr","Source":"+390212345678","Destination":"600","DestinationContext":"from-trunk","CallerID":"\"Eva\" <+390212345678>",
        "Channel":"SIP/trunk-01","DestinationChannel":"SIP/ana-02","LastApplication":"Dial","LastData":"SIP/ana","StartTime":"2026-03-01 10:00:00",
        "AnswerTime":"2026-03-01 10:00:05","EndTime":"2026-03-01 10:00:09","Duration":"9","BillableSeconds":"4","Disposition":"ANSWERED","UniqueID":"1.1"}"#;
    let call = &rows("UTC", cdr).unwrap()[0].call;
    assert_eq!((call.agent.as_deref(), call.talk_ms), (Some("SIP/ana"), Some(4_000)));
    assert_eq!(call.from.as_deref(), Some("+390212345678"));
    let cel = r#"{"Event":"CEL","EventName":"CHAN_START","CallerIDnum":"+390212345678","Exten":"600","Context":"from-trunk","Channel":"SIP/trunk-01",
        "EventTime":"2026-03-01 10:00:00","UniqueID":"1.1","LinkedID":"1.1"}"#;
    let fact = &rows("UTC", cel).unwrap()[0];
    assert_eq!((fact.call.event, fact.direction), (CallEventKind::Started, Some(Direction::Inbound)));
    assert_eq!(fact.call.from.as_deref(), Some("+390212345678"));
}

/// CEL specification, "Dial Busy": without LINKEDID_END among the logged events the caller's hang-up ends the call.
#[test]
fn the_callers_hangup_ends_the_call_and_says_why() {
    let line = |unique: &str, extra: &str| {
        format!("eventtype;eventtime;uniqueid;linkedid;extra\nHANGUP;1335310195.5;{unique};1.1;{extra}\n")
    };
    let hangup = |unique: &str, extra: &str| rows("UTC", &line(unique, extra)).unwrap().remove(0).call;
    let busy = hangup("1.1", r#"{"hangupcause":17,"dialstatus":"BUSY","hangupsource":""}"#);
    assert_eq!((busy.event, busy.cause.as_deref()), (CallEventKind::Ended, Some("busy")));
    assert_eq!(hangup("1.1", "16,,ANSWER").cause.as_deref(), Some("completed"));
    assert_eq!(hangup("1.2", "17,,").event, CallEventKind::Other, "a phone that was rung is not the caller");
}

/// CDR specification, "Blind Transfer" and issue 98 of Asterisk-CDR-Viewer-Mod: one uniqueid, two records, two recordings.
#[test]
fn two_records_of_one_channel_are_two_facts() {
    let facts = rows(
        "UTC",
        &[
            cdr("SIP/bob-02", "Dial", "2026-03-01 10:00:10", 20, "ANSWERED", 1),
            cdr("SIP/eva-03", "Dial", "2026-03-01 10:00:35", 30, "ANSWERED", 2),
        ]
        .concat(),
    )
    .unwrap();
    assert_ne!(facts[0].identity, facts[1].identity);
    assert_eq!(facts[0].call.call_id, facts[1].call.call_id);
}

/// mikopbx/Core 1100: the leg that talked is stored as unanswered after a timeout and a retry. A record by itself cannot know better,
/// but it must not hide the other that does.
#[test]
fn an_unanswered_record_does_not_hide_an_answered_one() {
    let facts = rows(
        "UTC",
        &[
            cdr("SIP/a-02", "Queue", "", 0, "NO ANSWER", 1),
            cdr("SIP/a-03", "Queue", "2026-03-01 10:00:30", 40, "ANSWERED", 2),
        ]
        .concat(),
    )
    .unwrap();
    assert_eq!((facts[0].call.event, facts[0].call.cause.as_deref()), (CallEventKind::Ringing, Some("no_answer")));
    assert!(facts[1].call.answered_at.is_some());
}

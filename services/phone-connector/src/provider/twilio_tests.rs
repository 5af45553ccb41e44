//! Fields as twilio.com documents them and as captured callbacks show them.

use super::*;

fn parse(form: &str) -> Vec<CallFact> {
    facts(Fields(form_object(form.as_bytes()).unwrap()), Some("token-1"), Timestamp::from_seconds(10_000)).unwrap()
}

fn one(form: &str) -> CallFact {
    let mut facts = parse(form);
    assert_eq!(facts.len(), 1);
    facts.remove(0)
}

#[test]
fn a_status_callback_of_an_outbound_call() {
    let fact = one(
        "CallSid=CA1&AccountSid=AC1&From=%2B15107571675&To=%2B15005550006&Direction=outbound-api&CallStatus=completed\
         &CallDuration=42&Duration=1&SequenceNumber=3&Timestamp=Thu,+20+Jul+1989+18:30:43+%2B0000&CallbackSource=call-progress-events&ToCity=",
    );
    assert_eq!((fact.call.event, fact.direction), (CallEventKind::Ended, Some(Direction::Outbound)));
    assert_eq!((fact.call.duration_ms, fact.call.talk_ms), (Some(42_000), Some(42_000)), "CallDuration, not Duration");
    assert_eq!(fact.call.cause.as_deref(), Some("completed"));
    assert_eq!(fact.occurred_at.to_string(), "1989-07-20T18:30:43.000Z");
    assert_eq!(fact.revision, Some(fact.occurred_at.as_millis() + 3));
    assert_eq!(fact.call.provider_fields["AccountSid"], "AC1");
    assert!(!fact.call.provider_fields.contains_key("ToCity"), "empty says nothing");
}

/// Edge case 36: every status is a fact of its own, and the same one twice is one.
#[test]
fn statuses_of_one_call_are_different_facts() {
    let identity = |status: &str, sequence: u32| {
        one(&format!("CallSid=CA1&CallStatus={status}&SequenceNumber={sequence}&Direction=outbound-api")).identity
    };
    assert_ne!(identity("initiated", 0), identity("ringing", 1));
    assert_eq!(identity("ringing", 1), identity("ringing", 1));
}

/// Edge case 41: TwiML answers an inbound call; a person answers a dialled leg.
#[test]
fn a_menu_is_not_a_person() {
    let menu = one("CallSid=CA1&Direction=inbound&CallStatus=in-progress&Digits=2&From=%2B14158675309");
    assert_eq!((menu.call.event, menu.call.ivr_choice.as_deref()), (CallEventKind::Other, Some("2")));
    let twiml = one("CallSid=CA1&Direction=inbound&CallStatus=in-progress");
    assert_eq!(twiml.call.event, CallEventKind::Other);
    let leg = one(
        "CallSid=CA2&ParentCallSid=CA1&Direction=outbound-dial&CallStatus=in-progress&From=%2B14158675309&To=%2B18005551212",
    );
    assert_eq!((leg.call.event, leg.call.call_id.as_str()), (CallEventKind::Answered, "CA1"));
    assert_eq!(leg.call.leg_id.as_deref(), Some("CA2"));
    assert!(leg.customer_is_elsewhere && leg.direction.is_none(), "the agent's number is not the customer's");
}

#[test]
fn a_leg_that_ends_does_not_end_the_call() {
    for status in ["no-answer", "busy", "completed", "canceled"] {
        let leg = one(&format!("CallSid=CA2&ParentCallSid=CA1&CallStatus={status}&CallDuration=7"));
        assert_eq!(leg.call.event, CallEventKind::Other, "{status}");
        assert_eq!(leg.call.talk_ms, (status == "completed").then_some(7000));
    }
}

#[test]
fn a_recording_joins_its_call_without_numbers() {
    let fact = one(
        "RecordingSource=StartCallRecordingAPI&RecordingSid=RE1&RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRE1\
         &RecordingStatus=completed&CallSid=CA1&RecordingStartTime=Wed%2C%2020%20Apr%202022%2023%3A45%3A25%20%2B0000&RecordingDuration=11",
    );
    assert_eq!((fact.call.event, fact.call.call_id.as_str()), (CallEventKind::Recording, "CA1"));
    assert_eq!(fact.call.recording_url.as_deref(), Some("https://api.twilio.com/RE1"));
    assert_eq!(fact.occurred_at.to_string(), "2022-04-20T23:45:25.000Z");
    assert_eq!(fact.call.provider_fields["RecordingSid"], "RE1");
    let spoken = one("RecordingSource=RecordVerb&RecordingSid=RE2&RecordingStatus=completed&CallSid=CA1");
    assert_eq!(spoken.call.event, CallEventKind::Voicemail);
    let absent = one("RecordingSid=RE3&RecordingStatus=absent&CallSid=CA1");
    assert_eq!(absent.call.event, CallEventKind::Other);
}

#[test]
fn a_transcription_has_words() {
    let fact = one(
        "TranscriptionSid=TR1&TranscriptionText=It%20broke.&TranscriptionStatus=completed&CallSid=CA1&CallStatus=completed\
         &From=%2B18443555050&To=%2B15005550006&Direction=outbound-api&RecordingSid=RE1&url=https%3A%2F%2Fexample.org",
    );
    assert_eq!((fact.call.event, fact.text.as_str()), (CallEventKind::Transcript, "It broke."));
    let failed = one("TranscriptionSid=TR2&TranscriptionStatus=failed&CallSid=CA1");
    assert_eq!((failed.call.event, failed.text.as_str()), (CallEventKind::Other, ""));
}

#[test]
fn a_dial_action_tells_that_a_person_answered() {
    let fact = one(
        "CallSid=CA1&Direction=inbound&CallStatus=in-progress&DialCallSid=CA2&DialCallStatus=completed&DialCallDuration=60&From=anonymous",
    );
    assert_eq!((fact.call.event, fact.call.talk_ms), (CallEventKind::Answered, Some(60_000)));
    assert_eq!(fact.call.answered_at, Some(Timestamp::from_seconds(9940)));
    let missed = one("CallSid=CA1&Direction=inbound&DialCallSid=CA2&DialCallStatus=no-answer");
    assert_eq!(missed.call.event, CallEventKind::Other);
}

#[test]
fn a_machine_that_answers_is_no_conversation() {
    let facts = parse(
        "CallSid=CA1&Direction=outbound-api&CallStatus=completed&CallDuration=42&SequenceNumber=3&AnsweredBy=machine_end_beep",
    );
    let events: Vec<_> = facts.iter().map(|fact| fact.call.event).collect();
    assert_eq!(events, [CallEventKind::Ended, CallEventKind::Voicemail]);
    assert_ne!(facts[0].identity, facts[1].identity);
    assert_eq!(parse("CallSid=CA1&Direction=outbound-api&CallStatus=completed&AnsweredBy=human").len(), 1);
}

#[test]
fn who_hangs_up_in_the_queue_has_abandoned() {
    let waiting = one("CallSid=CA1&Direction=inbound&QueueSid=QU1&QueueTime=5&CurrentQueueSize=3&QueuePosition=2");
    assert_eq!(waiting.call.event, CallEventKind::Queued);
    let gone = one("CallSid=CA1&Direction=inbound&QueueSid=QU1&QueueResult=hangup&QueueTime=31");
    assert_eq!((gone.call.abandoned, gone.call.wait_ms), (Some(true), Some(31_000)));
    let served = one("CallSid=CA1&QueueSid=QU1&QueueResult=bridged&QueueTime=31");
    assert_eq!(served.call.event, CallEventKind::Answered);
}

#[test]
fn an_unknown_status_is_kept_and_a_missing_call_is_refused() {
    let fact = one("CallSid=CA1&CallStatus=teleported&New=1");
    assert_eq!((fact.call.event, fact.call.provider_event.as_str()), (CallEventKind::Other, "teleported"));
    assert_eq!(fact.call.provider_fields["New"], "1");
    let error = facts(Fields(Map::new()), None, Timestamp::UNKNOWN).unwrap_err();
    assert!(error.to_string().contains("CallSid"));
    let endless = "a=1&".repeat(10_000);
    assert!(form_object(endless.as_bytes()).unwrap_err().to_string().contains("10000 fields"));
}

/// A recorded call's end names its recording; it is the end all the same.
#[test]
fn the_end_of_a_recorded_call_is_an_end() {
    let fact = one(
        "CallSid=CA1&CallStatus=completed&CallDuration=42&Direction=outbound-api&RecordingSid=RE1&RecordingDuration=40\
         &RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRE1&SequenceNumber=3&CallbackSource=call-progress-events",
    );
    assert_eq!((fact.call.event, fact.call.duration_ms), (CallEventKind::Ended, Some(42_000)));
    assert_eq!(fact.call.recording_url.as_deref(), Some("https://api.twilio.com/RE1"));
    let record =
        one("CallSid=CA1&CallStatus=in-progress&Direction=inbound&RecordingSid=RE1&RecordingDuration=9&Digits=hangup\
         &RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRE1");
    assert_eq!(record.call.event, CallEventKind::Voicemail);
    let dialled = one(
        "CallSid=CA1&CallStatus=in-progress&Direction=inbound&DialCallStatus=completed&DialCallDuration=9&DialCallSid=CA2\
         &RecordingUrl=https%3A%2F%2Fapi.twilio.com%2FRE1",
    );
    assert_eq!((dialled.call.event, dialled.call.talk_ms), (CallEventKind::Answered, Some(9_000)));
    assert!(dialled.call.recording_url.is_some());
}

/// twilio.com/docs, "Conference: statusCallback": the end of all has no `CallSid`.
#[test]
fn a_conference_holds_resumes_and_ends() {
    let event = |event: &str, more: &str| {
        one(&format!(
            "ConferenceSid=CF1&FriendlyName=care&StatusCallbackEvent={event}&SequenceNumber=4&Timestamp=Thu,+05+Mar+2026+18:30:43+%2B0000{more}"
        ))
    };
    let held = event("participant-hold", "&CallSid=CA1&Hold=true");
    assert_eq!((held.call.event, held.call.call_id.as_str()), (CallEventKind::Held, "CA1"));
    assert_eq!(event("participant-unhold", "&CallSid=CA1").call.event, CallEventKind::Resumed);
    let over = event("conference-end", "&CallSidEndingConference=CA1&ReasonConferenceEnded=last-participant-left");
    assert_eq!((over.call.event, over.call.call_id.as_str()), (CallEventKind::Other, "CA1"));
    assert_eq!(over.call.provider_event, "conference-end");
    let recorded = one("ConferenceSid=CF1&RecordingSid=RE1&RecordingStatus=completed&RecordingSource=Conference");
    assert_eq!((recorded.call.event, recorded.call.call_id.as_str()), (CallEventKind::Recording, "CF1"));
}

/// NOTES of the payloads: a machine that answers is no person, whichever event says so.
#[test]
fn an_answer_by_a_machine_is_no_answer() {
    let while_it_talks = one("CallSid=CA1&Direction=outbound-api&CallStatus=in-progress&AnsweredBy=machine_start");
    assert_eq!(while_it_talks.call.event, CallEventKind::Voicemail);
    let beside = one("CallSid=CA1&AccountSid=AC1&AnsweredBy=machine_end_beep&MachineDetectionDuration=4000");
    assert_eq!((beside.call.event, beside.call.provider_event.as_str()), (CallEventKind::Voicemail, "answered-by"));
    assert_eq!(one("CallSid=CA1&AnsweredBy=human").call.event, CallEventKind::Other);
    let over = parse("CallSid=CA1&Direction=outbound-api&CallStatus=completed&CallDuration=42&AnsweredBy=fax");
    assert!(over.iter().all(|fact| fact.call.talk_ms.is_none()));
}

#[test]
fn an_agent_at_a_client_or_a_sip_address_has_a_name_and_a_number_has_none() {
    let agent = |to: &str| {
        let form = format!("CallSid=CA2&ParentCallSid=CA1&Direction=outbound-dial&CallStatus=in-progress&To={to}");
        one(&form).call.agent
    };
    assert_eq!(agent("client%3Aana").as_deref(), Some("ana"));
    assert_eq!(agent("sip%3Aana%40acme.sip.twilio.com").as_deref(), Some("ana"));
    assert_eq!(agent("%2B18005551212"), None);
}

#[test]
fn what_the_caller_says_in_the_menu_is_the_choice_and_words() {
    let menu =
        one("CallSid=CA1&Direction=inbound&CallStatus=in-progress&SpeechResult=my+parcel+is+lost&Confidence=0.9");
    assert_eq!((menu.call.ivr_choice.as_deref(), menu.text.as_str()), (Some("my parcel is lost"), "my parcel is lost"));
}

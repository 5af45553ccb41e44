//! `zammad_cti`: the generic push that many telephone systems speak; JSON or form, a token in the path.
//!
//! zammad-documentation, `api/generic-cti/`. Its events carry no time, so the time of receipt counts, and no id, so what they say
//! is their identity. There are three: newCall, answer, hangup, and that is their order whenever they arrive.

use super::{Inbound, Provider, Undecodable, form_object, is_form, json_object, take_text};
use crate::{config::Account, item::CallFact, number::Writing};
use outcry_domain::{Call, CallEventKind, Direction};
use outcry_webhook::{
    form,
    signature::{BadSecret, SharedToken, Unauthentic, bearer},
};
use serde_json::{Map, Value};

struct ZammadCti {
    token: SharedToken,
}

/// An account's verifier and parser.
pub fn open(account: &Account) -> Result<Box<dyn Provider>, BadSecret> {
    Ok(Box::new(ZammadCti { token: SharedToken::new(account.active_secrets())? }))
}

impl Provider for ZammadCti {
    fn takes_path_token(&self) -> bool {
        true
    }

    fn writing(&self) -> Writing {
        Writing::International
    }

    fn verify(&self, inbound: &Inbound<'_>) -> Result<(), Unauthentic> {
        match inbound.path_token {
            Some(token) => self.token.verify(token),
            None => self.token.verify(bearer(&inbound.webhook.headers)?),
        }
    }

    fn parse(&self, inbound: &Inbound<'_>) -> Result<Vec<CallFact>, Undecodable> {
        let webhook = inbound.webhook;
        let fields = match is_form(&webhook.headers) {
            true => with_users(form_object(&webhook.body)?, &webhook.body),
            false => json_object(&webhook.body)?,
        };
        Ok(vec![fact(fields)?])
    }
}

/// A form repeats `user[]` for each phone that rings.
fn with_users(mut fields: Map<String, Value>, body: &[u8]) -> Map<String, Value> {
    let repeated = |name: &[u8]| matches!(name, b"user[]" | b"caller[]" | b"user" | b"caller");
    let users = form::parse(body).unwrap_or_default().into_iter().filter(|field| repeated(&field.name));
    let users: Vec<Value> = users.map(|field| String::from_utf8_lossy(&field.value).into_owned().into()).collect();
    if !users.is_empty() {
        fields.retain(|name, _| !repeated(name.as_bytes()));
        fields.insert("user".into(), users.into());
    }
    fields
}

/// `user`, which is also spelt `user[]` and `caller`: a name, or several who are all rung.
fn take_users(fields: &mut Map<String, Value>) -> Vec<String> {
    let users = ["user", "user[]", "caller", "caller[]"].iter().find_map(|name| fields.remove(*name));
    match users {
        Some(Value::String(user)) if !user.trim().is_empty() => vec![user],
        Some(Value::Array(users)) => users.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn cause(name: &str) -> String {
    match name {
        "normalClearing" => "completed",
        "cancel" => "canceled",
        "noAnswer" => "no_answer",
        "congestion" | "notFound" => "failed",
        other => other,
    }
    .to_owned()
}

fn fact(mut fields: Map<String, Value>) -> Result<CallFact, Undecodable> {
    let call_id = take_text(&mut fields, "callId").or_else(|| take_text(&mut fields, "call_id"));
    let call_id = call_id.ok_or_else(|| Undecodable("`callId` is missing".into()))?;
    let provider_event = take_text(&mut fields, "event").ok_or_else(|| Undecodable("`event` is missing".into()))?;
    let direction = match take_text(&mut fields, "direction").as_deref() {
        Some("in" | "inbound") => Some(Direction::Inbound),
        Some("out" | "outbound") => Some(Direction::Outbound),
        _ => None,
    };
    let users = take_users(&mut fields);
    let answering = take_text(&mut fields, "answeringNumber");
    let given_cause = take_text(&mut fields, "cause");
    let queue = take_text(&mut fields, "queue");
    let is_voicemail = |name: &str| name.eq_ignore_ascii_case("voicemail");
    let voicemail = users.iter().any(|user| is_voicemail(user)) || answering.as_deref().is_some_and(is_voicemail);
    let (event, rank) = match provider_event.as_str() {
        "newCall" if queue.is_some() && direction == Some(Direction::Inbound) => (CallEventKind::Queued, 1),
        "newCall" => (CallEventKind::Started, 1),
        "answer" if voicemail => (CallEventKind::Voicemail, 2),
        "answer" => (CallEventKind::Answered, 2),
        "hangup" => (CallEventKind::Ended, 3),
        _ => (CallEventKind::Other, 2),
    };
    let rung = provider_event == "newCall" && direction != Some(Direction::Outbound);
    let agent = match users.as_slice() {
        _ if rung || voicemail => None,
        // Several are those who were rung; one of them has the number that answered.
        [user] => Some(user.clone()),
        _ => answering.clone().or_else(|| users.first().cloned()),
    };
    // The caller gave up; on a call that was answered the view knows better.
    let abandoned = direction == Some(Direction::Inbound) && given_cause.as_deref() == Some("cancel");
    let identity = [Some(provider_event.clone()), answering.clone(), given_cause.clone(), queue.clone()]
        .into_iter()
        .map(Option::unwrap_or_default)
        .chain(users.iter().cloned())
        .collect();
    if !users.is_empty() {
        fields.insert("user".into(), users.into());
    }
    fields.extend(answering.map(|number| ("answeringNumber".to_owned(), Value::String(number))));
    let call = Call {
        call_id,
        event,
        from: take_text(&mut fields, "from"),
        to: take_text(&mut fields, "to"),
        queue,
        agent,
        cause: given_cause.as_deref().map(cause),
        abandoned: abandoned.then_some(true),
        provider_event,
        provider_fields: fields,
        ..Call::default()
    };
    Ok(CallFact { call, direction, identity, revision: Some(rank), ..CallFact::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> CallFact {
        fact(json_object(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_three_events_of_a_call() {
        let new = parse(
            r#"{"event":"newCall","from":"493023125741","to":"492214710334","direction":"in","callId":"c1","user":["Ana","Eva"],"queue":"care"}"#,
        );
        assert_eq!(
            (new.call.event, new.call.queue.as_deref(), new.call.agent),
            (CallEventKind::Queued, Some("care"), None)
        );
        let answer =
            parse(r#"{"event":"answer","direction":"in","call_id":"c1","answeringNumber":"12","caller":["Eva"]}"#);
        assert_eq!((answer.call.event, answer.call.agent.as_deref()), (CallEventKind::Answered, Some("Eva")));
        let hangup = parse(r#"{"event":"hangup","direction":"in","callId":"c1","cause":"normalClearing"}"#);
        assert_eq!((hangup.call.event, hangup.call.cause.as_deref()), (CallEventKind::Ended, Some("completed")));
        assert!(new.revision < answer.revision && answer.revision < hangup.revision, "whenever they arrive");
    }

    #[test]
    fn a_form_says_the_same() {
        let body =
            b"event=newCall&from=493023125741&to=492214710334&direction=out&callId=c2&user%5B%5D=Ana&user%5B%5D=Eva";
        let fact = fact(with_users(form_object(body).unwrap(), body)).unwrap();
        assert_eq!((fact.call.event, fact.direction), (CallEventKind::Started, Some(Direction::Outbound)));
        assert!(fact.call.agent.is_some());
        assert_eq!(fact.call.provider_fields["user"], serde_json::json!(["Ana", "Eva"]), "each name that is repeated");
    }

    #[test]
    fn voicemail_is_not_a_person_and_a_caller_may_give_up() {
        let voicemail = parse(r#"{"event":"answer","direction":"in","callId":"c1","user":"voicemail"}"#);
        assert_eq!((voicemail.call.event, voicemail.call.agent), (CallEventKind::Voicemail, None));
        let gone = parse(r#"{"event":"hangup","direction":"in","callId":"c1","cause":"cancel"}"#);
        assert_eq!(gone.call.abandoned, Some(true));
    }

    /// The documented answer names everybody who was rung, and the address of who took it.
    #[test]
    fn of_several_users_the_one_with_the_answering_number_took_the_call() {
        let answer = parse(
            r#"{"event":"answer","direction":"in","callId":"c1","answeringNumber":"eva@acme.example","user":["Ana","Eva"]}"#,
        );
        assert_eq!(answer.call.agent.as_deref(), Some("eva@acme.example"));
        let only = parse(r#"{"event":"answer","direction":"in","callId":"c1","user":["Ana","Eva"]}"#);
        assert_eq!(only.call.agent.as_deref(), Some("Ana"));
    }

    #[test]
    fn what_is_said_again_of_another_queue_is_another_fact() {
        let queued =
            |queue: &str| parse(&format!(r#"{{"event":"newCall","direction":"in","callId":"c1","queue":"{queue}"}}"#));
        assert_ne!(queued("care").identity, queued("returns").identity);
    }

    #[test]
    fn a_hangup_without_numbers_and_an_unknown_event_are_kept() {
        let hangup = parse(r#"{"event":"hangup","call_id":"c1","cause":"noAnswer"}"#);
        assert_eq!((hangup.call.event, hangup.call.from, hangup.direction), (CallEventKind::Ended, None, None));
        let parked = parse(r#"{"event":"park","callId":"c1","slot":"7"}"#);
        assert_eq!((parked.call.event, parked.call.provider_event.as_str()), (CallEventKind::Other, "park"));
        assert_eq!(parked.call.provider_fields["slot"], "7");
    }

    #[test]
    fn two_answers_are_two_facts_and_a_repeated_one_is_one() {
        let answer = |user: &str| parse(&format!(r#"{{"event":"answer","callId":"c1","user":"{user}"}}"#)).identity;
        assert_ne!(answer("Ana"), answer("Eva"));
        assert_eq!(answer("Ana"), answer("Ana"));
    }
}

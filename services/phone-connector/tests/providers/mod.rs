//! Each provider's path with its own proof: what is believed, what is not, and what becomes of what nobody knows.

use crate::common::Bench;
use http::Method;
use outcry_domain::CallEventKind;
use outcry_webhook::Reply;
use serde_json::json;

const TOKEN: &str = "45XXYYZZa08";

/// An account for each provider whose proof is a token.
async fn bench() -> Bench {
    let accounts = ["aircall", "zammad_cti", "asterisk"].map(|provider| {
        json!({ "name": provider, "brand": "acme", "provider": provider, "secrets": ["an older token", TOKEN], "region": "DE" })
    });
    let standard = json!({ "name": "main", "brand": "acme", "provider": "standard", "secret": crate::common::SECRET });
    let twilio =
        json!({ "name": "twilio", "brand": "acme", "provider": "twilio", "secret": crate::common::TWILIO_TOKEN });
    Bench::new(&json!({ "accounts": accounts.into_iter().chain([standard, twilio]).collect::<Vec<_>>() })).await
}

fn json_headers() -> Vec<(String, String)> {
    vec![("content-type".into(), "application/json".into())]
}

/// Edge case 33: the URL that counts is the configured one, whatever a proxy or a sender says of it.
#[tokio::test]
async fn a_forwarded_header_changes_nothing() {
    let bench = bench().await;
    let form = "CallSid=CA1&CallStatus=completed&Direction=inbound";
    let mut headers = crate::common::twilio_headers("/hooks/twilio", form);
    for (name, value) in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.example"),
        ("host", "10.0.0.7:8081"),
        ("x-forwarded-port", "99"),
    ] {
        headers.push((name.into(), value.into()));
    }
    assert!(matches!(bench.post("/hooks/twilio", &headers, form.as_bytes()).await, Reply::Accepted { .. }));
    // Signed for the host that the forged header names.
    let scheme = outcry_webhook::signature::TwilioSignature::new([crate::common::TWILIO_TOKEN]).unwrap();
    let fields = outcry_webhook::form::parse(form.as_bytes()).unwrap();
    headers[0].1 = scheme.header("https://evil.example/hooks/twilio", &fields).1;
    assert_eq!(bench.post("/hooks/twilio", &headers, form.as_bytes()).await, Reply::Unauthorized);
}

/// Edge case 39: there is no signature; the token is all there is, and it is not kept.
#[tokio::test]
async fn aircall_is_believed_by_its_token_alone() {
    let bench = bench().await;
    let body = |token: &str| {
        json!({ "resource": "call", "event": "call.created", "timestamp": 1_646_389_739, "token": token,
            "data": { "id": 780, "direction": "inbound", "started_at": 1_646_389_739, "raw_digits": "anonymous" } })
        .to_string()
    };
    for wrong in ["", "45XXYYZZa09", "45xxyyzza08", "45XXYYZZa0"] {
        let reply = bench.post("/hooks/aircall", &json_headers(), body(wrong).as_bytes()).await;
        assert_eq!(reply, Reply::Unauthorized, "{wrong}");
    }
    for unreadable in ["{", "[]", "{}", r#"{"token":7}"#] {
        assert_eq!(bench.post("/hooks/aircall", &json_headers(), unreadable.as_bytes()).await, Reply::Unauthorized);
    }
    assert_eq!(bench.post("/hooks/aircall", &json_headers(), body(TOKEN).as_bytes()).await, Reply::accepted());
    let item = bench.kept.items().remove(0);
    assert_eq!(item.customer.address, None, "anonymous is nobody");
    assert!(!serde_json::to_string(&item).unwrap().contains(TOKEN));
}

#[tokio::test]
async fn a_token_in_the_path_or_as_bearer_opens_and_nothing_else() {
    let bench = bench().await;
    let zammad = r#"{"event":"newCall","callId":"c1","direction":"in","from":"493023125741"}"#;
    let cdr = r#"{"src":"+390212345678","dst":"600","start":"2026-03-01 10:00:00","duration":9,"billsec":0,"disposition":"BUSY","uniqueid":"1.1"}"#;
    for (provider, body) in [("zammad_cti", zammad), ("asterisk", cdr)] {
        let path = |token: &str| format!("/hooks/{provider}/{token}");
        let bearer = |token: &str| [json_headers(), vec![("authorization".into(), format!("Bearer {token}"))]].concat();
        let plain = format!("/hooks/{provider}");
        for wrong in ["45XXYYZZa09", "x", "45XXYYZZa08/", ""] {
            assert_eq!(
                bench.post(&path(wrong), &json_headers(), body.as_bytes()).await,
                Reply::Unauthorized,
                "{wrong}"
            );
            assert_eq!(bench.post(&plain, &bearer(wrong), body.as_bytes()).await, Reply::Unauthorized, "{wrong}");
        }
        assert_eq!(bench.post(&plain, &json_headers(), body.as_bytes()).await, Reply::Unauthorized);
        // A good bearer does not mend a bad path.
        assert_eq!(bench.post(&path("x"), &bearer(TOKEN), body.as_bytes()).await, Reply::Unauthorized);
        let twice = [bearer(TOKEN), bearer(TOKEN)].concat();
        assert_eq!(bench.post(&plain, &twice, body.as_bytes()).await, Reply::Unauthorized, "a header sent twice");
        for good in [
            bench.post(&path(TOKEN), &json_headers(), body.as_bytes()).await,
            bench.post(&plain, &bearer("an older token"), body.as_bytes()).await,
        ] {
            assert!(matches!(good, Reply::Accepted { .. }), "{good:?}");
        }
    }
    assert_eq!(bench.kept.items().len(), 4);
}

/// What nobody knows yet is kept: the event as `other`, the field by its name.
#[tokio::test]
async fn an_unknown_event_and_an_unknown_field_are_kept_of_every_provider() {
    let bench = bench().await;
    let twilio = "CallSid=CA1&CallStatus=levitating&New=kept";
    let aircall = json!({ "resource": "call", "event": "call.levitated", "timestamp": 1, "token": TOKEN, "data": { "id": 1, "New": "kept" } });
    let zammad = r#"{"event":"levitate","callId":"c1","New":"kept"}"#;
    let cel = r#"{"eventtype":"LEVITATE","eventtime":"1335310195.5","uniqueid":"1.1","New":"kept"}"#;
    let standard = br#"{"type":"call.levitated","call_id":"c1","occurred_at":"2026-03-01T09:30:00Z","New":"kept"}"#;
    let replies = [
        bench.twilio(twilio).await,
        bench.post("/hooks/aircall", &json_headers(), aircall.to_string().as_bytes()).await,
        bench.post(&format!("/hooks/zammad_cti/{TOKEN}"), &json_headers(), zammad.as_bytes()).await,
        bench.post(&format!("/hooks/asterisk/{TOKEN}"), &json_headers(), cel.as_bytes()).await,
        bench.standard(standard).await,
    ];
    assert!(replies.iter().all(|reply| matches!(reply, Reply::Accepted { .. })), "{replies:?}");
    let items = bench.kept.items();
    assert_eq!(items.len(), 5);
    for item in items {
        let call = item.call.unwrap();
        assert_eq!(call.event, CallEventKind::Other, "{}", item.provider);
        let kept = call.provider_fields.get("New").or(call.provider_fields.get("new"));
        assert_eq!(kept, Some(&json!("kept")), "{}", item.provider);
    }
}

/// The media type says how to read; what does not fit is a dead letter or is not believed, and never something else.
#[tokio::test]
async fn a_wrong_content_type_is_not_read_as_something_else() {
    let bench = bench().await;
    let form = "CallSid=CA1&CallStatus=completed";
    let mut headers = crate::common::twilio_headers("/hooks/twilio", form);
    headers[1].1 = "application/json".into();
    // Without `bodySHA256` nothing covers such a body.
    assert_eq!(bench.post("/hooks/twilio", &headers, form.as_bytes()).await, Reply::Unauthorized);
    let as_form = vec![("content-type".into(), "application/x-www-form-urlencoded".into())];
    let body = r#"{"event":"newCall","callId":"c1"}"#;
    let reply = bench.post(&format!("/hooks/zammad_cti/{TOKEN}"), &as_form, body.as_bytes()).await;
    assert!(matches!(reply, Reply::Invalid(_)), "{reply:?}");
    let truncated = &body[..body.len() - 3];
    let reply = bench.post(&format!("/hooks/zammad_cti/{TOKEN}"), &json_headers(), truncated.as_bytes()).await;
    assert!(matches!(reply, Reply::Invalid(_)), "{reply:?}");
    let get = bench.send_at(Method::GET, &format!("/hooks/zammad_cti/{TOKEN}"), &[], b"", 0).await;
    assert!(matches!(get, Reply::MethodNotAllowed { .. }));
    assert_eq!((bench.kept.items().len(), bench.kept.dead_letters().len()), (0, 2));
}

//! `outcry backfill`: the past of a mailbox with its own dates, and nobody hears of it.

use crate::setup::{EMAIL, Mailbox, NOTIFIER, PATIENCE, Receipts, classified, mail};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use outcry_tests::binary;
use std::time::{Duration, Instant};

async fn acknowledged(receipts: &Receipts, name: &str) {
    let begun = Instant::now();
    while !receipts.0.received().iter().any(|receipt| receipt.to.iter().any(|to| to.starts_with(name))) {
        assert!(begun.elapsed() < PATIENCE, "{name} got no receipt");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_acknowledges_nothing_and_new_mail_is_acknowledged_as_ever() {
    let (mailbox, receipts) = (Mailbox::new().await, Receipts::new());
    // Of yesterday: not too old for a receipt, so that nothing but the mark of a backfill withholds it.
    let (now, yesterday) = (Timestamp::now(), Timestamp::now() - 25.hours());
    for name in ["ana", "ben", "eva"] {
        mailbox
            .append_dated(&mail(name, name, "Where is it?", "The parcel has not arrived."), yesterday)
            .await
            .unwrap();
    }
    let since = format!("since = \"{}\"\n", now.to_zoned(TimeZone::UTC).date());
    let mut pipeline = classified(&format!("{}{since}{}", mailbox.sections(), receipts.sections())).await;
    pipeline.start(&[NOTIFIER, EMAIL]).await.unwrap();
    mailbox.append(&mail("first", "first", "And mine?", "Nobody answers.")).await.unwrap();
    acknowledged(&receipts, "first").await;

    let config = pipeline.config().display().to_string();
    let run = |source: &'static str| {
        let arguments = ["backfill", source, "--since", "2020-01-01", "--config", &config].map(str::to_owned);
        async move {
            let arguments = arguments.each_ref().map(String::as_str);
            binary::run("outcry", &arguments, &[], PATIENCE).await.unwrap()
        }
    };
    let said = run("email:support").await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains(" mails in "), "{:?}", said.stderr);
    let past = "SELECT count() FROM {db}.items WHERE origin_backfill AND effective_at < now() - INTERVAL 23 HOUR";
    pipeline.wait_for(past, 3, PATIENCE).await.unwrap();

    mailbox.append(&mail("second", "second", "Mine too", "Nobody answers.")).await.unwrap();
    acknowledged(&receipts, "second").await;
    let received = receipts.0.received();
    let mut to: Vec<&String> = received.iter().flat_map(|receipt| &receipt.to).collect();
    to.sort();
    assert_eq!(to, ["first@customer.example", "second@customer.example"]);

    let unknown = run("email:nobody").await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("email:support"), "{}", unknown.stderr);
    assert_eq!(run("phone:main").await.code, Some(2));
}

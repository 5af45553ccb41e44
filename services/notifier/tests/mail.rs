//! The notifier between a real broker and a real SMTP listener.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use outcry_domain::{AuthorKind, CaseId, ClassifiedItem, CustomerId, Direction, Item, classification::Urgency};
use outcry_kafka::Topic;
use std::{collections::HashSet, time::Duration};
use support::{Notifier, classified, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_case_gets_one_receipt_in_its_language_and_the_receipt_is_an_item() {
    let notifier = Notifier::new("").await;
    let mail = classified("ana@shop.example", 1, "pt");
    // The same mail in two of our mailboxes: two items of one case.
    let mut copy = mail.clone();
    copy.item.source = "email:info".into();
    copy.item.item_id.0 += 1;
    let run = notifier.start();
    notifier.put(&mail).await;
    notifier.put(&copy).await;
    let items: Vec<Item> = notifier.read_until(Topic::ItemsRaw, |items| items.len() >= 2).await;
    run.stop().await;

    let received = notifier.mails();
    assert_eq!(received.len(), 1, "one receipt a case");
    assert_eq!((received[0].from.as_str(), received[0].to.as_slice()), ("", &["ana@shop.example".to_owned()][..]));
    let mail_text = text(&received[0]);
    assert!(mail_text.contains("Auto-Submitted: auto-replied") && mail_text.contains("In-Reply-To: <m1@shop.example>"));
    assert!(mail_text.contains("Content-Language: pt"), "{mail_text}");
    assert!(mail_text.contains("From: \"Acme Care\" <care@acme.example>"), "{mail_text}");
    let ids: HashSet<_> = items.iter().map(|item| item.item_id).collect();
    assert_eq!(ids.len(), 1, "publishing it again is the same fact");
    assert!(items.iter().all(|item| item.case_id == mail.item.case_id && item.occurred_at == items[0].occurred_at));
    assert_eq!((items[0].direction, items[0].author_kind), (Direction::Outbound, AuthorKind::Automatic));
    assert!(items[0].effective_at >= mail.item.effective_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_lists_and_the_past_get_none() {
    let notifier = Notifier::new("").await;
    let mut automatic = classified("ana@shop.example", 1, "en");
    automatic.item.author_kind = AuthorKind::Automatic;
    let mut list = classified("eva@shop.example", 2, "en");
    list.item.mail.as_mut().unwrap().list_id = Some("news.shop.example".into());
    let mut old = classified("ugo@shop.example", 3, "en");
    old.item.received_at = old.item.received_at.minus(Duration::from_secs(90 * 3600));
    let ours = classified("rosa@acme.example", 4, "en");
    let run = notifier.start();
    for item in [&automatic, &list, &old, &ours] {
        notifier.put(item).await;
    }
    // Records of one key stay in order, those of others do not: this one is for knowing that the others are done.
    notifier.put_garbage().await;
    notifier.put(&classified("zoe@shop.example", 5, "en")).await;
    notifier.caught_up().await;
    run.stop().await;
    let to: Vec<_> = notifier.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["zoe@shop.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_remembers_and_one_customer_gets_three_a_day_at_most() {
    let notifier = Notifier::new("").await;
    let run = notifier.start();
    notifier.put(&classified("ana@shop.example", 1, "en")).await;
    notifier.put(&classified("ana@shop.example", 2, "en")).await;
    notifier.read_until::<Item>(Topic::ItemsRaw, |items| items.len() >= 2).await;
    run.stop().await;

    let run = notifier.start();
    notifier.put(&classified("ana@shop.example", 1, "en")).await;
    for case in 3..=9 {
        notifier.put(&classified("ana@shop.example", case, "en")).await;
    }
    notifier.put(&classified("ugo@shop.example", 20, "en")).await;
    notifier.caught_up().await;
    run.stop().await;
    let to: Vec<_> = notifier.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to.iter().filter(|to| *to == "ana@shop.example").count(), 3, "{to:?}");
    assert_eq!(to.iter().filter(|to| *to == "ugo@shop.example").count(), 1, "{to:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_later_gets_the_mail_later_and_one_that_refuses_does_not_hold_up_others() {
    let notifier = Notifier::new("").await;
    notifier.smtp.fail_next(451, 2);
    let run = notifier.start();
    notifier.put(&classified("ana@shop.example", 1, "en")).await;
    assert_eq!(notifier.smtp.wait_for(1, Duration::from_secs(30)).await.len(), 1);
    notifier.smtp.fail_next(550, 1);
    notifier.put(&classified("ugo@shop.example", 2, "en")).await;
    // Partitions are read beside one another: a later mail must not get the refusal.
    assert!(outcry_sandbox::wait_until(|| notifier.smtp.failures_left() == 0).await, "nobody was refused");
    notifier.caught_up().await;
    notifier.put(&classified("eva@shop.example", 3, "en")).await;
    notifier.caught_up().await;
    run.stop().await;
    let to: Vec<_> = notifier.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["ana@shop.example", "eva@shop.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_full_for_days_does_not_hold_up_those_behind_it_and_its_case_may_be_tried_again() {
    let notifier = Notifier::new("[notifier.alerts]\nto = [\"duty@acme.example\"]\n").await;
    let full = classified("full@shop.example", 1, "en");
    let mut critical = classified("full@shop.example", 1, "en");
    critical.item.item_id.0 += 1;
    critical.classification.urgency.label = Urgency::Critical;
    notifier.smtp.fail_next(452, 8);
    let run = notifier.start();
    // One case, so one partition: the second waits behind the first.
    notifier.put(&full).await;
    notifier.put(&critical).await;
    let received = notifier.smtp.wait_for(2, Duration::from_secs(55)).await;
    run.stop().await;
    let to: Vec<_> = received.into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["duty@acme.example", "full@shop.example"], "the alert first");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_that_takes_nothing_does_not_keep_an_alert_from_the_others() {
    let notifier = Notifier::new("[notifier.alerts]\nto = [\"left@acme.example\", \"duty@acme.example\"]\n").await;
    let mut critical = classified("ana@shop.example", 1, "en");
    critical.classification.urgency.label = Urgency::Critical;
    critical.item.mail.as_mut().unwrap().bulk = true;
    // To both, then to the first alone.
    notifier.smtp.fail_next(550, 2);
    let run = notifier.start();
    notifier.put(&critical).await;
    let received = notifier.smtp.wait_for(1, Duration::from_secs(30)).await;
    run.stop().await;
    assert_eq!(received[0].to, ["duty@acme.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_put_off_for_ever_does_not_hold_up_others_either() {
    let notifier = Notifier::new("[notifier.alerts]\nto = [\"duty@acme.example\"]\n").await;
    let mut critical = classified("ana@shop.example", 1, "en");
    critical.classification.urgency.label = Urgency::Critical;
    notifier.smtp.fail_next(451, 8);
    let run = notifier.start();
    notifier.put(&critical).await;
    let received = notifier.smtp.wait_for(1, Duration::from_secs(55)).await;
    let to: Vec<_> = received.into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["ana@shop.example"], "the receipt, after the alert was given up");
    // The case's next record alerts.
    notifier.put(&critical).await;
    let received = notifier.smtp.wait_for(2, Duration::from_secs(30)).await;
    run.stop().await;
    assert_eq!(received[1].to, ["duty@acme.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_item_alerts_the_duty_officer_once() {
    let notifier = Notifier::new("[notifier.alerts]\nto = [\"duty@acme.example\"]\n").await;
    let mut critical: ClassifiedItem = classified("ana@shop.example", 1, "en");
    critical.classification.urgency.label = Urgency::Critical;
    critical.item.direction = Direction::Inbound;
    critical.item.mail.as_mut().unwrap().bulk = true;
    let run = notifier.start();
    notifier.put(&critical).await;
    notifier.put(&critical).await;
    notifier.caught_up().await;
    run.stop().await;
    let received = notifier.mails();
    assert_eq!(received.len(), 1, "an alert, no receipt to bulk mail, and the alert once");
    assert_eq!(received[0].to, ["duty@acme.example"]);
    let words = text(&received[0]);
    assert!(words.contains(&critical.item.case_id.to_string()) && !words.contains("ana@shop.example"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_version_stops_its_partition_and_not_the_service() {
    let notifier = Notifier::new("").await;
    let mut newer = classified("ana@shop.example", 1, "en");
    newer.item.schema_version = 99;
    let run = notifier.start();
    notifier.put(&newer).await;
    for case in 2..=30 {
        let mut item = classified(&format!("c{case}@shop.example"), case, "en");
        item.item.case_id = CaseId(u128::from(case));
        item.item.customer.customer_id = CustomerId(u128::from(case));
        notifier.put(&item).await;
    }
    let received = notifier.smtp.wait_for(5, Duration::from_secs(30)).await;
    assert!(received.len() >= 5, "the other partitions go on: {}", received.len());
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_put_off_for_longer_is_tried_again_later_and_a_restart_does_not_forget_it() {
    let notifier = Notifier::with_smtp("retry_after_seconds = 1\n", "").await;
    notifier.smtp.fail_next(451, 9);
    let run = notifier.start();
    notifier.put(&classified("grey@shop.example", 1, "en")).await;
    let waits = |keys: &[String]| keys.iter().any(|key| key.starts_with("notifier-later/"));
    assert!(waits(&notifier.keys_until(Topic::Checkpoints, waits).await), "it does not wait");
    run.stop().await;
    assert!(notifier.mails().is_empty());

    let run = notifier.start();
    // The ninth try is put off too, the tenth is not.
    let received = notifier.smtp.wait_for(1, Duration::from_secs(30)).await;
    assert_eq!(received[0].to, ["grey@shop.example"]);
    notifier.caught_up().await;
    run.stop().await;
    assert_eq!(notifier.mails().len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_only_brings_new_labels_writes_to_nobody() {
    let notifier = Notifier::new("[notifier.alerts]\nto = [\"duty@acme.example\"]\n").await;
    let run = notifier.start();
    let mut critical = classified("ana@shop.example", 1, "en");
    critical.classification.urgency.label = Urgency::Critical;
    notifier.put_reclassified(&critical).await;
    notifier.caught_up().await;
    assert!(notifier.mails().is_empty(), "new labels wrote to somebody");
    // The same as news.
    notifier.put(&critical).await;
    notifier.caught_up().await;
    run.stop().await;
    let mut to: Vec<_> = notifier.mails().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["ana@shop.example", "duty@acme.example"]);
}

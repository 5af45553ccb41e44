//! The sample holds what the demo promises: numbers, languages, and the hard cases by name.

use super::data::Label;
use super::*;
use mail_parser::{HeaderValue, MessageParser, MimeHeaders};
use outcry_domain::classification::{Category, Kind, Urgency};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const NOW: i64 = 1_795_000_000;
const LANGUAGES: [&str; 8] = ["de", "en", "es", "fr", "it", "ja", "pt", "zh"];

fn sample() -> Sample {
    Sample::try_load(Timestamp::from_seconds(NOW)).unwrap_or_else(|error| panic!("{error}"))
}

fn parsed(mail: &SampleMail) -> mail_parser::Message<'_> {
    MessageParser::default().parse(&mail.raw).expect("a message")
}

fn calls_by_id(sample: &Sample) -> BTreeMap<String, Vec<Value>> {
    let mut calls: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for webhook in sample.calls.iter().filter(|webhook| webhook.expect == Expect::Stored) {
        calls.entry(webhook.call_id.clone()).or_default().push(serde_json::from_slice(&webhook.body).unwrap());
    }
    calls
}

#[test]
fn every_channel_has_the_numbers_and_languages_promised() {
    let sample = sample();
    assert!(sample.mails.len() >= 120, "{} mails", sample.mails.len());
    let calls = calls_by_id(&sample);
    assert!(calls.len() >= 60, "{} calls", calls.len());
    for (call_id, events) in &calls {
        assert!(events.len() >= 3, "{call_id} has {} events", events.len());
    }
    assert!(calls.values().map(Vec::len).sum::<usize>() >= 240);
    assert!(sample.posts.iter().filter(|post| post.kind != PostKind::Delete).count() >= 120);
    assert_eq!(sample.expected.languages, LANGUAGES.map(String::from).into());
    for language in LANGUAGES {
        assert!(sample.mails.iter().filter(|mail| mail.language == language).count() >= 12, "{language}");
        assert!(sample.posts.iter().filter(|post| post.language == language).count() >= 12, "{language}");
        let calls = sample.calls.iter().filter(|call| call.language == language).map(|call| &call.call_id);
        assert!(calls.collect::<BTreeSet<_>>().len() >= 7, "{language}");
    }
}

#[test]
fn what_is_expected_agrees_with_a_count_by_other_means() {
    let sample = sample();
    let ids: BTreeSet<String> = sample.mails.iter().map(|mail| parsed(mail).message_id().unwrap().to_owned()).collect();
    assert_eq!(sample.expected.email.contacts, ids.len());
    assert_eq!(sample.expected.email.sent - ids.len(), 4, "four mails went to two mailboxes");
    let deliveries: BTreeSet<&[u8]> = sample.mails.iter().map(|mail| mail.raw.as_slice()).collect();
    assert_eq!(sample.expected.email.items, deliveries.len());

    let bodies: BTreeSet<&[u8]> = sample.calls.iter().map(|webhook| webhook.body.as_slice()).collect();
    assert_eq!(sample.expected.phone.sent, sample.calls.len());
    assert_eq!(sample.expected.phone.items, bodies.len() - 1, "all but the undecodable one");
    assert_eq!(sample.expected.phone.contacts, calls_by_id(&sample).len());
    assert_eq!(sample.expected.dead_letters, 1);

    let created = [PostKind::Mention, PostKind::OwnReply];
    let posts = sample.posts.iter().filter(|post| created.contains(&post.kind)).count();
    assert_eq!(sample.expected.social.contacts, posts);
    let answered_by_us = sample.mails.iter().filter(|mail| mail.folder == Folder::Sent).count();
    assert!(sample.expected.new_mail_cases + answered_by_us < ids.len());
}

#[test]
fn everything_happened_within_the_last_three_weeks_and_nothing_is_in_the_future() {
    let sample = sample();
    let now = Timestamp::from_seconds(NOW);
    let times = sample.mails.iter().map(|mail| mail.internal_date);
    let times: Vec<Timestamp> = times
        .chain(sample.calls.iter().map(|call| call.sent_at))
        .chain(sample.posts.iter().map(|post| post.created_at))
        .collect();
    for time in &times {
        assert!(*time < now && now.millis_since(*time) < 22 * 86_400_000, "{time}");
    }
    let last_day = times.iter().filter(|time| now.millis_since(**time) < 86_400_000).count();
    assert!(last_day >= 20, "{last_day} in the last day");
}

#[test]
fn every_category_every_urgency_and_every_kind_of_writer_is_there() {
    let sample = sample();
    let labels: Vec<Label> = sample
        .mails
        .iter()
        .filter_map(|mail| mail.label)
        .chain(sample.calls.iter().filter_map(|call| call.label))
        .chain(sample.posts.iter().filter_map(|post| post.label))
        .collect();
    for category in Category::ALL {
        assert!(labels.iter().any(|label| label.category == *category), "{category}");
    }
    for urgency in Urgency::ALL {
        assert!(labels.iter().filter(|label| label.urgency == *urgency).count() >= 5, "{urgency}");
    }
    for kind in [Kind::Complaint, Kind::Question, Kind::Praise, Kind::Request, Kind::Spam] {
        assert!(labels.iter().any(|label| label.kind == kind), "{kind}");
    }
    for language in LANGUAGES {
        let critical = |label: Option<Label>| {
            label.is_some_and(|label| label.urgency == Urgency::Critical && label.category == Category::Safety)
        };
        assert!(sample.mails.iter().any(|mail| mail.language == language && critical(mail.label)), "{language}");
        assert!(sample.posts.iter().any(|post| post.language == language && critical(post.label)), "{language}");
    }
    let breach = |label: &Label| label.category == Category::PrivacyFraud && label.urgency == Urgency::Critical;
    assert!(labels.iter().filter(|label| breach(label)).count() >= 3);
}

#[test]
fn a_mail_to_two_mailboxes_differs_only_in_what_the_server_added() {
    let sample = sample();
    let mut by_id: HashMap<&str, Vec<&SampleMail>> = HashMap::new();
    for mail in &sample.mails {
        by_id.entry(&mail.message_id).or_default().push(mail);
    }
    let copies: Vec<_> = by_id.into_values().filter(|copies| copies.len() > 1).collect();
    assert_eq!(copies.len(), 4);
    for pair in copies {
        assert_ne!(pair[0].user, pair[1].user);
        assert_ne!(pair[0].raw, pair[1].raw);
        let (first, second) = (parsed(pair[0]), parsed(pair[1]));
        assert_eq!(first.body_text(0), second.body_text(0));
        assert_eq!(first.date(), second.date());
        assert_ne!(first.header_raw("Received"), second.header_raw("Received"));
    }
}

#[test]
fn every_reply_names_the_mail_it_replies_to_and_the_brand_sends_from_its_own_domain() {
    let sample = sample();
    let ids: BTreeSet<&str> = sample.mails.iter().map(|mail| mail.message_id.as_str()).collect();
    let mut replies = 0;
    for mail in &sample.mails {
        let message = parsed(mail);
        let from = message.from().unwrap().first().unwrap().address().unwrap().to_owned();
        assert_eq!(mail.folder == Folder::Sent, from.ends_with(DOMAIN) && !from.starts_with("MAILER"), "{from}");
        if let HeaderValue::Text(parent) = message.in_reply_to() {
            assert!(ids.contains(parent.as_ref()), "{parent}");
            assert!(message.references().clone().into_text_list().unwrap().contains(parent));
            replies += 1;
        } else {
            assert_eq!(mail.folder, Folder::Inbox, "an answer without In-Reply-To");
        }
    }
    assert!(replies >= 40, "{replies} replies");
}

#[test]
fn mails_come_in_the_charsets_and_encodings_of_real_ones_and_read_back_as_written() {
    let sample = sample();
    let all: Vec<String> = sample.mails.iter().map(|mail| String::from_utf8_lossy(&mail.raw).into_owned()).collect();
    for sign in [
        "charset=iso-2022-jp",
        "charset=gb2312",
        "charset=iso-8859-1\r\n",
        "charset=iso-8859-15",
        "Content-Transfer-Encoding: 8bit",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "=?iso-2022-jp?B?",
        "=?gb2312?B?",
        "multipart/alternative",
        "multipart/mixed",
        "multipart/report; report-type=delivery-status",
        "Auto-Submitted: auto-replied",
        "List-Id:",
    ] {
        assert!(all.iter().any(|raw| raw.contains(sign)), "no mail has {sign}");
    }
    let find =
        |text: &str| sample.mails.iter().find(|mail| parsed(mail).subject() == Some(text)).expect("this subject");
    let japanese = find("ヒーターから発煙しました");
    assert!(parsed(japanese).body_text(0).unwrap().contains("使い方は説明書の通りです。"));
    assert_eq!(parsed(japanese).from().unwrap().first().unwrap().name(), Some("佐藤 美咲"));
    let chinese = find("电热水壶漏电，孩子被电到了");
    assert!(parsed(chinese).body_text(0).unwrap().contains("手指烧伤"));
    let attached = find("Glassplitter im Babybrei!");
    let message = parsed(attached);
    let file = message.attachment(0).expect("an attachment");
    assert_eq!(file.attachment_name(), Some("splitter.png"));
    assert!(file.contents().starts_with(b"\x89PNG"));
    let page = parsed(find("Cancelled three times and still a member"));
    assert_eq!(page.text_body_count(), page.html_body_count());
    assert!(page.body_html(0).unwrap().contains("sad coffee cup &amp; a discount"));
}

#[test]
fn lines_are_as_short_and_as_ended_as_the_standard_asks() {
    for mail in sample().mails {
        assert!(mail.raw.ends_with(b"\r\n"));
        let text = String::from_utf8_lossy(&mail.raw).into_owned();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare line end in {}", mail.message_id);
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "a long line in {}", mail.message_id);
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.is_ascii(), "a raw character in the headers of {}", mail.message_id);
    }
}

#[test]
fn replies_quote_as_the_writers_programs_do() {
    let sample = sample();
    let bodies: Vec<String> =
        sample.mails.iter().filter_map(|mail| parsed(mail).body_text(0).map(|text| text.into_owned())).collect();
    for sign in [
        " wrote:",
        " ha scritto:",
        " escreveu:",
        " schrieb ",
        " escribió:",
        " a écrit :",
        "写道：",
        "Von: ",
        "From: ",
        "发件人: ",
        "\r\n> ",
    ] {
        assert!(bodies.iter().any(|body| body.contains(sign)), "no mail quotes with {sign:?}");
    }
}

#[test]
fn calls_hold_every_hard_case() {
    let sample = sample();
    let calls = calls_by_id(&sample);
    let any = |test: &dyn Fn(&Value) -> bool| calls.values().flatten().any(test);
    assert!(any(&|event| event["from"] == "anonymous"));
    assert!(any(&|event| event["abandoned"] == true));
    assert!(any(&|event| event["type"] == "call.voicemail" && event["transcript"].is_string()));
    assert!(any(&|event| event["direction"] == "outbound"));
    assert!(any(&|event| event["cause"] == "no_answer"));
    assert!(any(&|event| event["type"] == "call.held"));
    let sequence = |event: &Value| event["sequence"].as_i64().unwrap();
    let disordered = calls.values().filter(|events| !events.is_sorted_by_key(sequence)).count();
    assert!(disordered >= 3, "{disordered} calls out of order");
    for events in calls.values() {
        let mut ordered = events.clone();
        ordered.sort_by_key(sequence);
        let times: Vec<&str> = ordered.iter().map(|event| event["occurred_at"].as_str().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(ordered[0]["type"], "call.started");
        assert!(ordered.iter().any(|event| event["type"] == "call.ended"));
    }
}

#[test]
fn a_repeated_webhook_is_the_same_to_the_byte_and_the_cut_one_is_no_json() {
    let sample = sample();
    let repeats: Vec<_> = sample.calls.iter().filter(|webhook| webhook.expect == Expect::Duplicate).collect();
    assert!(repeats.len() >= 3);
    for repeat in repeats {
        let first = sample.calls.iter().find(|webhook| webhook.webhook_id == repeat.webhook_id).unwrap();
        assert_eq!((first.expect, &first.body), (Expect::Stored, &repeat.body));
    }
    let cut = sample.calls.iter().find(|webhook| webhook.expect == Expect::DeadLetter).unwrap();
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
}

#[test]
fn customers_come_back_with_the_same_issue_within_thirty_days() {
    let sample = sample();
    let mut begun: HashMap<(String, Category), BTreeSet<&str>> = HashMap::new();
    for mail in sample.mails.iter().filter(|mail| mail.root == mail.message_id) {
        let Some(label) = mail.label.filter(|label| label.kind == Kind::Complaint) else { continue };
        let from = parsed(mail).from().unwrap().first().unwrap().address().unwrap().to_owned();
        begun.entry((from, label.category)).or_default().insert(&mail.root);
    }
    let repeating = begun.values().filter(|roots| roots.len() > 1).count();
    assert!(repeating >= 7, "{repeating} customers repeat by mail");
    let mut numbers: HashMap<String, BTreeSet<String>> = HashMap::new();
    for (call_id, events) in calls_by_id(&sample) {
        let from = events[0]["from"].as_str().unwrap().to_owned();
        numbers.entry(from).or_default().insert(call_id);
    }
    numbers.remove("anonymous");
    assert!(numbers.values().filter(|calls| calls.len() > 1).count() >= 5);
}

#[test]
fn posts_are_answered_edited_taken_down_and_refer_to_posts_that_exist() {
    let sample = sample();
    let created: BTreeSet<&str> = sample
        .posts
        .iter()
        .filter(|post| post.kind == PostKind::Mention || post.kind == PostKind::OwnReply)
        .map(|post| post.id.as_str())
        .collect();
    let count = |kind| sample.posts.iter().filter(|post| post.kind == kind).count();
    assert!(count(PostKind::Edit) >= 3 && count(PostKind::Delete) >= 3 && count(PostKind::OwnReply) >= 24);
    for post in &sample.posts {
        assert!(post.in_reply_to.as_deref().is_none_or(|parent| created.contains(parent)), "{}", post.id);
        match post.kind {
            PostKind::Mention => assert!(post.html.contains("mention\">@<span>marelda</span>"), "{}", post.html),
            PostKind::OwnReply => assert_eq!(post.author, HANDLE),
            PostKind::Edit => assert!(created.contains(post.id.as_str())),
            PostKind::Delete => assert!(created.contains(post.id.as_str()) && post.html.is_empty()),
        }
    }
}

#[test]
fn no_text_is_used_twice() {
    let sample = sample();
    let mut seen = BTreeSet::new();
    for post in sample.posts.iter().filter(|post| post.kind != PostKind::Delete) {
        assert!(seen.insert(post.html.clone()), "{}", post.html);
    }
    for events in calls_by_id(&sample).values() {
        for transcript in events.iter().filter_map(|event| event["transcript"].as_str()) {
            assert!(seen.insert(transcript.to_owned()), "{transcript}");
        }
    }
}

#[test]
fn loading_at_two_moments_gives_two_sets_of_ids() {
    let first = sample();
    let second = Sample::load(Timestamp::from_seconds(NOW + 1));
    let ids = |sample: &Sample| -> BTreeSet<String> {
        let mails = sample.mails.iter().map(|mail| mail.message_id.clone());
        let calls = sample.calls.iter().map(|call| call.webhook_id.clone());
        mails.chain(calls).chain(sample.posts.iter().map(|post| post.id.clone())).collect()
    };
    assert!(ids(&first).is_disjoint(&ids(&second)));
    assert_eq!(first.expected, second.expected);
    assert_eq!(first.mails, sample().mails, "the same moment gives the same bytes");
}

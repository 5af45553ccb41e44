//! The connector against a server with Mastodon's contract, and a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use outcry_domain::{AuthorKind, Coverage, Direction, Item, channel::PostEventKind};
use outcry_kafka::Topic;
use outcry_sandbox::{MastodonOptions, MastodonServer, NewStatus};
use std::{collections::HashSet, time::Duration};
use support::{API_401, API_404, Connector, Front, PROXY_404};

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_772_355_600 + second).unwrap()
}

fn server(rate_limit: u32) -> MastodonServer {
    MastodonServer::start(MastodonOptions { rate_limit, ..MastodonOptions::default() }).unwrap()
}

fn mention(author: &str, text: &str, second: i64) -> NewStatus {
    NewStatus::new(author, text, at(second))
}

fn by_text<'a>(items: &'a [Item], text: &str) -> &'a Item {
    items.iter().find(|item| item.text.contains(text)).unwrap_or_else(|| panic!("no item says {text:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_through_everything_and_joins_replies_to_what_they_answer() {
    // Fewer requests than posts: reading each parent by itself would use the allowance up.
    let server = server(100);
    let mut ids = Vec::new();
    for number in 0..400 {
        ids.push(server.add_mention(mention("ana@shop.example", &format!("question {number}."), number * 60)));
        server.add_own(&format!("answer {number}."), at(number * 60 + 30), Some(&ids[number as usize]));
    }
    let thanks = server.add_own("anything else?", at(30_000), Some(&ids[7]));
    server.add_mention(mention("ana@shop.example", "no, thanks", 30_010).answering(&thanks));
    let connector = Connector::new(&server).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 802).await;
    let coverage: Vec<Coverage> = connector.read(Topic::SourceCoverage, 2).await;
    run.stop().await;

    let ids: HashSet<_> = items.iter().map(|item| item.item_id).collect();
    assert_eq!(ids.len(), 802, "every post once");
    for number in [0, 79, 80, 399] {
        let question = by_text(&items, &format!("question {number}."));
        let answer = by_text(&items, &format!("answer {number}."));
        assert_eq!(question.case_id, answer.case_id, "question {number}");
        assert_eq!((question.direction, answer.direction), (Direction::Inbound, Direction::Outbound));
        assert_eq!(answer.effective_at.millis_since(question.effective_at), 30_000);
        assert_eq!(answer.customer.customer_id, question.customer.customer_id);
    }
    assert_eq!(by_text(&items, "no, thanks").case_id, by_text(&items, "question 7.").case_id);
    let read =
        |scope: &str| coverage.iter().filter(|c| c.scope == scope).map(|c| (c.listed, c.produced, c.missing)).next();
    assert_eq!(read("notifications"), Some((401, 401, 0)));
    assert_eq!(read("statuses"), Some((401, 401, 0)));
    assert!(server.requests() < 100, "{} requests", server.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was_left_off() {
    let server = server(1_000_000);
    let first = server.add_mention(mention("ana@shop.example", "before", 0));
    let connector = Connector::new(&server).await;
    let run = connector.start();
    connector.read::<Item>(Topic::ItemsRaw, 1).await;
    connector.read::<Coverage>(Topic::SourceCoverage, 2).await;
    run.stop().await;

    for number in 0..100 {
        server.add_mention(mention("ugo@shop.example", &format!("meanwhile {number}."), 100 + number));
    }
    server.add_own("an answer after the restart", at(300), Some(&first));
    let run = connector.start();
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 102).await;
    run.stop().await;
    let again = items.iter().filter(|item| item.text.ends_with("before")).count();
    assert_eq!(again, 1, "what was with the broker is not read again");
    let (asked, answered) = (by_text(&items, "before"), by_text(&items, "an answer after"));
    assert_eq!(asked.case_id, answered.case_id, "the post it answers was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_repeats_some_and_loses_none() {
    let server = server(1_000_000);
    for number in 0..1_000 {
        let asked = server.add_mention(mention("ana@shop.example", &format!("question {number}."), number * 60));
        server.add_own(&format!("answer {number}."), at(number * 60 + 30), Some(&asked));
    }
    let connector = Connector::new(&server).await;
    for _ in 0..3 {
        let requests = server.requests();
        let run = connector.start();
        while server.requests() < requests + 12 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        run.crash().await;
    }
    let run = connector.start();
    let distinct = |items: &[Item]| items.iter().map(|item| item.item_id).collect::<HashSet<_>>().len();
    let items: Vec<Item> = connector.read_until(Topic::ItemsRaw, |items| distinct(items) >= 2_000).await;
    run.stop().await;
    assert_eq!(distinct(&items), 2_000);
    for number in [0, 500, 999] {
        let (question, answer) = (format!("question {number}."), format!("answer {number}."));
        let cases: HashSet<_> = items
            .iter()
            .filter(|item| item.text.contains(&question) || item.text.contains(&answer))
            .map(|item| item.case_id)
            .collect();
        assert_eq!(cases.len(), 1, "question {number}, however often it was read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_become_versions_and_deletions_become_items_even_over_a_restart() {
    let server = server(1_000_000);
    let edited = server.add_mention(mention("ana@shop.example", "my parsel is late", 0));
    let deleted = server.add_mention(mention("ugo@shop.example", "you are thieves", 10));
    let connector = Connector::new(&server).await;
    let run = connector.start();
    connector.read::<Item>(Topic::ItemsRaw, 2).await;
    connector.read::<Coverage>(Topic::SourceCoverage, 2).await;
    server.edit(&edited, "my parcel is late", at(60)).unwrap();
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 3).await;
    run.stop().await;
    let (before, after) = (by_text(&items, "parsel"), by_text(&items, "parcel"));
    assert_eq!((before.contact_id, before.case_id), (after.contact_id, after.case_id));
    assert!(after.item_id != before.item_id && after.revision > before.revision);
    assert_eq!(after.effective_at, before.effective_at);

    server.delete(&deleted).unwrap();
    let run = connector.start();
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 4).await;
    run.stop().await;
    let gone = items.iter().find(|item| item.post.as_ref().unwrap().event == PostEventKind::Deleted).unwrap();
    let written = by_text(&items, "thieves");
    assert_eq!((gone.contact_id, gone.case_id), (written.contact_id, written.case_id));
    assert_eq!(gone.customer.customer_id, written.customer.customer_id);
    assert!(gone.text.is_empty() && gone.occurred_at.is_unknown() && gone.revision > written.revision);
}

/// How many posts were said to be deleted.
fn deletions(items: &[Item]) -> usize {
    items.iter().filter(|item| item.post.as_ref().unwrap().event == PostEventKind::Deleted).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_find_the_server_deletes_nothing() {
    let server = server(1_000_000);
    for number in 0..5 {
        server.add_mention(mention("ana@shop.example", &format!("question {number}."), number));
    }
    let front = Front::of(server.base_url()).await;
    front.answer("/api/v1/statuses/", PROXY_404, usize::MAX);
    let connector = Connector::at(&front.base_url, &server.token()).await;
    let run = connector.start();
    let problem = connector.wait_for_problem("404").await;
    assert!(problem.contains("what stands before it"), "{problem}");
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 5).await;
    run.stop().await;
    assert_eq!(deletions(&items), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_is_missed_once_and_seen_again_is_not_deleted() {
    let server = server(1_000_000);
    for number in 0..5 {
        server.add_mention(mention("ana@shop.example", &format!("question {number}."), number));
    }
    let front = Front::of(server.base_url()).await;
    // All of them in one round.
    front.answer("/api/v1/statuses/", API_404, 5);
    let connector = Connector::at(&front.base_url, &server.token()).await;
    let run = connector.start();
    while front.left() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // And in a later one, after one in which they were there.
    let requests = server.requests();
    while server.requests() < requests + 14 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    front.answer("/api/v1/statuses/", API_404, 5);
    while front.left() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 5).await;
    run.stop().await;
    assert_eq!(deletions(&items), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_forgotten_who_we_are_deletes_nothing() {
    let server = server(1_000_000);
    for number in 0..5 {
        server.add_mention(mention("ana@shop.example", &format!("question {number}."), number));
    }
    let front = Front::of(server.base_url()).await;
    let connector = Connector::at(&front.base_url, &server.token()).await;
    let run = connector.start();
    connector.read::<Item>(Topic::ItemsRaw, 5).await;
    front.answer("/verify_credentials", API_401, usize::MAX / 2);
    front.answer("/api/v1/statuses/", API_404, usize::MAX / 2);
    connector.wait_for_problem("401").await;
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 5).await;
    run.stop().await;
    assert_eq!(deletions(&items), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_and_limits_of_the_server_delay_and_lose_nothing() {
    let server = server(1_000_000);
    for number in 0..170 {
        server.add_mention(mention("ana@shop.example", &format!("number {number}."), number));
    }
    server.fail_next(503, 2);
    let connector = Connector::new(&server).await;
    let run = connector.start();
    let problem = connector.wait_for_problem("503").await;
    assert!(problem.contains("tried again"), "{problem}");
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 170).await;
    assert_eq!(items.iter().map(|item| item.item_id).collect::<HashSet<_>>().len(), 170);
    connector.wait_until_well().await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_429_nothing_is_asked_before_the_reset() {
    let server = server(1_000_000);
    server.add_mention(mention("ana@shop.example", "patience", 0));
    server.fail_next(429, 1);
    let connector = Connector::new(&server).await;
    let run = connector.start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The fake's reset is minutes away, as a real server's may be.
    assert_eq!(server.requests(), 1);
    let stopping = std::time::Instant::now();
    run.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(5), "waiting must not hold up a shutdown");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_html_is_text_boosts_are_not_replies_and_nul_bytes_pass() {
    let server = server(1_000_000);
    let html = format!("<p>help<script>alert(1)</script>{}</p>", "<div>".repeat(20_000));
    let first = server.add_mention(mention("ana@shop.example", &html, 0));
    server.add_mention(mention("ugo@shop.example", "<p>nul \u{0} here</p>", 1));
    server.add_mention(mention("eva@shop.example", &format!("<p>{}</p>", "word ".repeat(250_000)), 2));
    server.add_boost(&first, at(5)).unwrap();
    server.add_own("we are sorry", at(10), Some(&first));
    let connector = Connector::new(&server).await;
    let run = connector.start();
    let items: Vec<Item> = connector.read(Topic::ItemsRaw, 4).await;
    run.stop().await;
    assert!(by_text(&items, "help").text.starts_with("help"));
    assert!(by_text(&items, "nul").text.contains("here"));
    assert!(by_text(&items, "word word").origin.truncated);
    let reply = by_text(&items, "we are sorry");
    assert_eq!((reply.direction, reply.author_kind), (Direction::Outbound, AuthorKind::Human));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_says_what_to_do() {
    let server = server(1_000_000);
    let connector = Connector::with_token(&server, "not the token").await;
    let run = connector.start();
    let problem = connector.wait_for_problem("401").await;
    assert!(problem.contains("social.accounts.token"), "{problem}");
    run.stop().await;
}

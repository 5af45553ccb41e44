//! Waiting for mail: IDLE, IDLE that died, and servers without it.

use crate::{
    heard, items_until, mails, numbers,
    support::{Connector, message},
};
use outcry_sandbox::ScriptedImap;

#[tokio::test(flavor = "multi_thread")]
async fn idle_that_died_silently_is_given_up_and_mail_arrives_all_the_same() {
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    server.behave(|manners| manners.dead_in_idle = true);
    let connector = Connector::new(&server.settings("sweep_interval_seconds = 1\npoll_interval_seconds = 300")).await;
    let run = connector.start();
    items_until(&connector, 1).await;
    heard(&server, "IDLE", 1).await;
    server.arrive(2, message(2));
    let items = items_until(&connector, 2).await;
    run.stop().await;
    assert_eq!(numbers(&items).len(), 2, "a connection that does not answer DONE was kept");
    assert!(server.commands().iter().filter(|command| command.contains("LOGIN")).count() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_announces_nothing_in_idle_is_looked_at_when_idle_is_renewed() {
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    server.behave(|manners| manners.announces_nothing = true);
    let connector = Connector::new(&server.settings("sweep_interval_seconds = 1\npoll_interval_seconds = 300")).await;
    let run = connector.start();
    items_until(&connector, 1).await;
    heard(&server, "IDLE", 1).await;
    server.arrive(2, message(2));
    assert_eq!(numbers(&items_until(&connector, 2).await).len(), 2);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn straight_before_idle_stands_a_look_that_found_nothing() {
    let server = ScriptedImap::start(mails(1..=3)).await.unwrap();
    let connector = Connector::new(&server.settings("poll_interval_seconds = 300")).await;
    let run = connector.start();
    heard(&server, "IDLE", 1).await;
    run.stop().await;
    let commands = server.commands();
    let idle = commands.iter().position(|command| command.ends_with("IDLE")).unwrap();
    assert!(commands[idle - 1].contains("UID SEARCH UID 4:*"), "{commands:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_idle_is_polled() {
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    server.behave(|manners| manners.refuses_idle = true);
    let connector = Connector::new(&server.settings("poll_interval_seconds = 1")).await;
    let run = connector.start();
    items_until(&connector, 1).await;
    heard(&server, "NOOP", 1).await;
    server.arrive(2, message(2));
    assert_eq!(numbers(&items_until(&connector, 2).await).len(), 2);
    run.stop().await;
}

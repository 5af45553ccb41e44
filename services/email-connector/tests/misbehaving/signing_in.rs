//! TLS, passwords and tokens: what the server may hear, and what alarms.

use crate::{
    issuer::Issuer,
    items_until, mails, numbers,
    support::{Connector, message},
};
use outcry_sandbox::ScriptedImap;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_hears_no_password() {
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    let connector = Connector::new(&server.settings("").replace("\"none\"", "\"starttls\"")).await;
    let run = connector.start();
    connector.wait_for_health("does not offer STARTTLS").await;
    run.stop().await;
    assert!(
        server.commands().iter().all(|command| !command.to_ascii_uppercase().contains("LOGIN")),
        "{:?}",
        server.commands()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_that_would_skip_tls_and_login_is_refused() {
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    server.behave(|manners| manners.preauth = true);
    let connector = Connector::new(&server.settings("").replace("\"none\"", "\"starttls\"")).await;
    let run = connector.start();
    connector.wait_for_health("reading the greeting").await;
    run.stop().await;
    assert!(server.commands().is_empty(), "{:?}", server.commands());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_ok_to_starttls_without_tls_hears_no_password() {
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    server.behave(|manners| manners.starttls = true);
    let connector = Connector::new(&server.settings("").replace("\"none\"", "\"starttls\"")).await;
    let run = connector.start();
    connector.wait_for_health("127.0.0.1").await;
    run.stop().await;
    assert!(server.commands().iter().all(|command| !command.contains("LOGIN")), "{:?}", server.commands());
}

fn with_oauth2(server: &ScriptedImap, issuer: &Issuer, more: &str) -> String {
    let oauth2 = format!(
        "oauth2 = {{ provider = \"microsoft\", base_url = \"{}\", client_id = \"outcry\", refresh_token = \"first\"{more} }}",
        issuer.base_url()
    );
    server.settings("poll_interval_seconds = 1").replace("password = \"p\"", &oauth2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_read_with_a_token_that_is_renewed() {
    let issuer = Issuer::start().await;
    let server = ScriptedImap::start(mails(1..=2)).await.unwrap();
    server.behave(|manners| manners.xoauth2_token = Some("not-yet".into()));
    issuer.grant("first", "access-1", 3600);
    let connector = Connector::new(&with_oauth2(&server, &issuer, "")).await;
    let run = connector.start();
    // The server does not know this token: said at once, and another one is asked for.
    connector.wait_for_health("logging in").await;
    server.behave(|manners| manners.xoauth2_token = Some("access-2".into()));
    issuer.grant("first", "access-2", 3600);
    assert_eq!(numbers(&items_until(&connector, 2).await).len(), 2);
    connector.wait_for_health("").await;
    run.stop().await;
    let asked = issuer.requests();
    assert!(asked[0].starts_with("POST /organizations/oauth2/v2.0/token"), "{asked:?}");
    assert!(asked[0].contains("scope=") && asked[0].contains("client_id=outcry"), "{asked:?}");
    assert!(server.commands().iter().all(|command| !command.contains("LOGIN")), "{:?}", server.commands());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_withdrawn_alarms_while_the_connection_still_stands() {
    let issuer = Issuer::start().await;
    let server = ScriptedImap::start(mails(1..=2)).await.unwrap();
    server.behave(|manners| manners.xoauth2_token = Some("access-1".into()));
    issuer.grant("first", "access-1", 4);
    let connector = Connector::new(&with_oauth2(&server, &issuer, "")).await;
    let run = connector.start();
    items_until(&connector, 2).await;
    connector.wait_for_health("").await;
    issuer.withdraw();
    connector.wait_for_health("invalid_grant").await;
    // The connection stands, and mail is read.
    server.arrive(3, message(3));
    assert_eq!(numbers(&items_until(&connector, 3).await).len(), 3);
    issuer.grant("first", "access-1", 3600);
    connector.wait_for_health("").await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_the_issuer_replaces_is_kept_over_a_restart() {
    let issuer = Issuer::start().await;
    let server = ScriptedImap::start(mails(1..=1)).await.unwrap();
    server.behave(|manners| manners.xoauth2_token = Some("access-1".into()));
    issuer.grant("first", "access-1", 3600);
    issuer.replaces_with("second");
    let kept = std::env::temp_dir().join(format!("outcry-kept-token-{}", server.port()));
    let more = format!(", renewed_token_path = \"{}\"", kept.display());
    let connector = Connector::new(&with_oauth2(&server, &issuer, &more)).await;
    let run = connector.start();
    items_until(&connector, 1).await;
    run.stop().await;
    // Ninety days later the first one is worth nothing.
    issuer.grant("second", "access-1", 3600);
    let run = connector.start();
    connector.wait_for_health("").await;
    run.stop().await;
    assert!(issuer.requests().last().unwrap().contains("refresh_token=second"));
    std::fs::remove_file(kept).unwrap();
}

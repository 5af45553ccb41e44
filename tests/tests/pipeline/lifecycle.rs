//! What an operator relies on: a prompt and clean end, mistakes that are named, secrets that never print.

use crate::setup::{Everything, PATIENCE, SERVICES};
use outcry_sandbox::shared_stack;
use outcry_tests::{Pipeline, binary, pipeline, webhook};
use std::time::Duration;

/// Well within what compose and Kubernetes grant.
const PROMPT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn every_service_ends_cleanly_on_sigterm_and_prints_no_secret() {
    let everything = Everything::new("canary-of-the-social-token", "canary-of-the-console-token").await;
    let stack = shared_stack().await;
    let more = "username = \"acme\"\npassword = \"canary-of-the-smtp-password\"\n";
    let sections =
        everything.sections().replace("[notifier.acknowledgements]", &format!("{more}[notifier.acknowledgements]"));
    let mut running = Pipeline::prepare(stack, &sections).await.unwrap();
    running.start(&SERVICES).await.unwrap();
    assert!((200..300).contains(&everything.phone.post_numbered(1).await.unwrap()));
    running.wait_for("SELECT count() FROM {db}.items", 1, PATIENCE).await.unwrap();
    for service in running.services() {
        let metrics = service.metrics().await.unwrap();
        assert!(metrics.contains("# TYPE"), "{} exports no metrics", service.name());
    }
    for service in running.services() {
        let status = service.terminate(PROMPT).await.unwrap();
        assert_eq!(status.code(), Some(0), "{} after SIGTERM: {status}\n{}", service.name(), service.log());
    }

    let passwords = &stack.clickhouse().passwords;
    let secrets = [
        "canary-of-the-social-token",
        "canary-of-the-console-token",
        "canary-of-the-smtp-password",
        "key of the tests, of no installation",
        pipeline::KAFKA_PASSWORD,
        webhook::STANDARD_SECRET,
        webhook::TWILIO_TOKEN,
        &everything.mailbox.password(),
        &passwords.sink,
        &passwords.analyst,
    ];
    for service in running.services() {
        let log = service.log();
        // The configuration is in the log, so the canaries had their chance.
        assert!(log.contains("***"), "{} did not log its configuration:\n{log}", service.name());
        for secret in secrets {
            assert!(!log.contains(secret), "{} printed {secret:?}", service.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_key_ends_every_service_with_code_2_and_the_nearest_key() {
    let folder = tempfile::tempdir().unwrap();
    let mistakes = [
        ("[kafka]\nbootstrap_serverz = \"127.0.0.1:1\"\n", "bootstrap_serverz", "`bootstrap_servers`"),
        ("[kafak]\nbootstrap_servers = \"127.0.0.1:1\"\n", "kafak", "`kafka`"),
    ];
    for (text, mistyped, nearest) in mistakes {
        let config = folder.path().join(format!("{mistyped}.toml"));
        std::fs::write(&config, text).unwrap();
        for name in SERVICES {
            let said = binary::run(name, &["--config", config.to_str().unwrap()], &[], PROMPT).await.unwrap();
            assert_eq!(said.code, Some(2), "{name}: {said:?}");
            let named = said.stderr.contains(mistyped) && said.stderr.contains(nearest);
            assert!(named, "{name} does not name {mistyped} and {nearest}: {}", said.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_under_a_mistyped_key_does_not_print_either() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mistyped.toml");
    let text = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\npasswrod = \"canary-under-a-mistyped-key\"\n";
    std::fs::write(&config, text).unwrap();
    for name in SERVICES {
        let said = binary::run(name, &["--config", config.to_str().unwrap()], &[], PROMPT).await.unwrap();
        assert!(said.code == Some(2) && said.stderr.contains("`password`"), "{name}: {said:?}");
        assert!(!format!("{said:?}").contains("canary"), "{name} printed it: {}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_configuration_file_is_wrong_usage() {
    for name in SERVICES {
        let said = binary::run(name, &["--config", "/there/is/no/such.toml"], &[], PROMPT).await.unwrap();
        assert!(said.code == Some(2) && said.stderr.contains("such.toml"), "{name}: {said:?}");
    }
}

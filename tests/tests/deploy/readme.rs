//! README.md: its commands exist, its settings are read, its SQL names views and columns that there are.

use super::{read, root, services};
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The content of every block of that language.
fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let opening = format!("```{language}\n");
    readme.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The text with every `…_file = "path"` pointing to a file in that folder, which is written.
pub fn with_secrets_in(folder: &Path, text: &str) -> String {
    let point = |line: &str| {
        let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| key.ends_with("_file")) else {
            return line.to_owned();
        };
        // Base64 of "a secret of the test", in the form of Standard Webhooks.
        let secret =
            if key.starts_with("secret") { "whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3Q=" } else { "a secret of the test" };
        let file = folder.join(format!("{key}.secret"));
        std::fs::write(&file, secret).expect("written");
        format!("{key} = {:?}", file.to_str().expect("utf-8"))
    };
    text.lines().map(point).collect::<Vec<_>>().join("\n")
}

/// What `outcry` prints for these arguments.
fn outcry(arguments: &[&str]) -> std::process::Output {
    let program = outcry_tests::binary::find("outcry").unwrap_or_else(|error| panic!("{error:#}"));
    Command::new(program).args(arguments).output().expect("outcry runs")
}

#[test]
fn every_command_shown_exists() {
    let help = outcry(&["--help"]);
    assert!(help.status.success(), "{}", String::from_utf8_lossy(&help.stderr));
    let mut seen = BTreeSet::new();
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [script, ..] if script.starts_with("deploy/") => {
                let mode = std::fs::metadata(root().join(script)).unwrap_or_else(|error| panic!("{script}: {error}"));
                assert_eq!(mode.permissions().mode() & 0o111, 0o111, "{script} cannot be executed");
            }
            ["outcry", command, ref rest @ ..] => {
                let help = outcry(&[command, "--help"]);
                let stderr = String::from_utf8_lossy(&help.stderr);
                assert!(help.status.success(), "`outcry {command}` is not a command: {stderr}");
                let help = String::from_utf8_lossy(&help.stdout).into_owned();
                for option in rest.iter().filter(|word| word.starts_with("--")) {
                    assert!(help.contains(option), "outcry {command} has no {option}");
                }
                for path in rest.iter().filter(|word| word.starts_with("deploy/")) {
                    assert!(root().join(path).is_file(), "{path}");
                }
            }
            ["docker", "compose", ..] => assert!(root().join("docker-compose.yml").is_file()),
            _ => panic!("a command that nothing checks: {line}"),
        }
        seen.insert(words[0].to_owned());
    }
    for expected in ["deploy/local/demo", "deploy/local/test", "outcry", "docker"] {
        assert!(seen.contains(expected), "the README no longer shows {expected}");
    }
}

#[test]
fn every_setting_shown_is_read_by_the_service_it_is_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = blocks("toml");
    assert!(shown.len() >= 5, "{} blocks of settings", shown.len());
    let text = with_secrets_in(folder.path(), &shown.join("\n"));
    let basics = "[kafka]\nbootstrap_servers = \"127.0.0.1:9092\"\n[identity]\nkey = \"k\"\n[clickhouse]\n\n";
    let file = folder.path().join("readme.toml");
    std::fs::write(&file, format!("{basics}{text}")).expect("written");
    let token = ("OUTCRY_CONSOLE__TOKEN".to_owned(), "0123456789abcdef".to_owned());
    for (service, sign) in [
        ("email-connector", "imap.acme.example"),
        ("phone-connector", "hooks.acme.example"),
        ("social-connector", "mastodon.example"),
        ("classifier", "127.0.0.1:9092"),
        ("sink", "127.0.0.1:9092"),
        ("notifier", "duty@acme.example"),
        ("console", "acme"),
    ] {
        let printed = services::load(service, std::slice::from_ref(&file), vec![token.clone()]);
        let printed = printed.unwrap_or_else(|error| panic!("{service}: {error}"));
        assert!(printed.contains(sign), "{service} does not read what the README shows:\n{printed}");
    }
}

#[tokio::test]
async fn every_query_shown_is_one_that_the_analyst_may_run() {
    outcry_runtime::install_crypto_provider();
    let stack = outcry_sandbox::shared_stack().await;
    let database = stack.fresh_database().await.expect("a database");
    let config = |user: &str| {
        let clickhouse = stack.clickhouse();
        let password = match user {
            "migrator" => &clickhouse.passwords.migrator,
            _ => &clickhouse.passwords.analyst,
        };
        outcry_warehouse::ClickHouseConfig {
            url: clickhouse.url.clone(),
            database: database.clone(),
            username: user.into(),
            password: outcry_runtime::Secret::from(password.as_str()),
        }
    };
    outcry_warehouse::migrate(&config("migrator")).await.expect("the schema");
    let analyst = outcry_warehouse::Warehouse::connect(&config("analyst")).expect("a connection");
    let shown = blocks("sql");
    assert!(shown.len() >= 5, "{} queries", shown.len());
    for sql in shown {
        let answer = analyst.query(sql.trim().trim_end_matches(';'), &[]).await;
        assert!(answer.is_ok(), "{sql}\n{}", answer.err().map(|error| error.to_string()).unwrap_or_default());
    }
}

#[test]
fn links_lead_somewhere_and_what_was_not_run_is_said() {
    let readme = read("README.md");
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(link.starts_with("https://") || root().join(link).exists(), "{link}");
    }
    assert!(readme.contains("the containers were never started"), "the README must say what was not run");
    for folder in ["services", "shared", "deploy", "tests", "secrets"] {
        assert!(root().join(folder).is_dir(), "{folder}");
    }
    assert!(read("LICENSE").contains("Apache License") && read("LICENSE").contains("Version 2.0, January 2004"));
}

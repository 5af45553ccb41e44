//! The image holds what compose starts, and ClickHouse's users may do what the pipeline does and no more.

use super::{read, root, services};
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt};

fn words_after<'a>(text: &'a str, marker: &str) -> BTreeSet<&'a str> {
    let after = text.split(marker).skip(1);
    after.filter_map(|rest| rest.split([' ', '\n', '\\', '<']).find(|word| !word.is_empty())).collect()
}

#[test]
fn the_image_is_built_with_every_binary() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let mut expected: BTreeSet<String> = services::ALL.iter().map(|name| format!("outcry-{name}")).collect();
    expected.insert("outcry".into());
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(words_after(&dockerfile, "--package "), expected);
    assert_eq!(words_after(&dockerfile, "target/release/"), expected);
    assert!(dockerfile.contains("COPY deploy/config/ /etc/outcry/"));
    assert!(dockerfile.contains("USER 10001:10001"), "the image runs as root");
    let ignored = read("deploy/docker/Dockerfile.dockerignore");
    assert!(ignored.lines().any(|line| line == "secrets"), "secrets would enter a layer");
}

#[test]
fn the_compiler_is_the_one_that_the_workspace_asks_for() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("a manifest");
    let version = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    assert!(read("deploy/docker/Dockerfile").contains(&format!("FROM rust:{version}-bookworm AS build")));
}

#[test]
fn analysts_read_the_views_and_nothing_else() {
    let users = read("deploy/docker/clickhouse/users.xml");
    let (_, analyst) = users.split_once("<analyst>").expect("an analyst");
    let granted = words_after(analyst, "GRANT SELECT ON outcry.");
    let views: BTreeSet<&str> = outcry_warehouse::ANALYST_VIEWS.iter().copied().collect();
    assert_eq!(granted, views);
    assert_eq!(analyst.matches("GRANT").count(), views.len());
    assert!(users.contains("<readonly>1</readonly>") && users.contains("<default remove=\"remove\"/>"));
}

#[test]
fn passwords_come_from_the_files_that_the_start_script_reads() {
    let users = read("deploy/docker/clickhouse/users.xml");
    let start = read("deploy/docker/clickhouse/start");
    for user in ["migrator", "sink", "analyst"] {
        let variable = format!("OUTCRY_{}_PASSWORD", user.to_uppercase());
        assert!(users.contains(&format!("<password from_env=\"{variable}\"/>")), "{user}");
        assert!(
            read("docker-compose.yml")
                .contains(&format!("clickhouse_{user}: {{ file: ./secrets/clickhouse_{user}.txt }}"))
        );
    }
    assert!(start.contains("for user in migrator sink analyst") && start.contains("OUTCRY_${user^^}_PASSWORD"));
    assert!(start.contains("/run/secrets/clickhouse_$user"));
}

#[test]
fn scripts_can_be_executed() {
    for script in ["deploy/docker/clickhouse/start", "deploy/docker/make-secrets"] {
        let mode = std::fs::metadata(root().join(script)).expect(script).permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script}");
    }
}

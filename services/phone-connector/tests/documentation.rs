//! What the README, the schema and the example say is what the connector does.
#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod common;

use common::{Bench, SECRET};
use outcry_phone_connector::provider::PROVIDERS;
use outcry_runtime::Context;
use outcry_webhook::{Limits, Reply, Server};
use serde_json::{Value, json};
use std::{path::Path, process::Command, sync::Arc};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).expect("a file of this crate")
}

/// A value that the schema allows for a field.
fn example(name: &str, property: &Value) -> Value {
    let kinds = property["type"].to_string();
    match name {
        "occurred_at" => json!("2026-03-01T09:30:00Z"),
        "direction" => json!("inbound"),
        "cost" => json!({ "value": "1.20", "currency": "EUR" }),
        _ if kinds.contains("integer") => json!(3),
        _ if kinds.contains("number") => json!(12.5),
        _ if kinds.contains("boolean") => json!(true),
        _ => json!(format!("some {name}")),
    }
}

#[tokio::test]
async fn every_field_of_the_schema_is_understood_and_only_those() {
    let schema: Value = serde_json::from_str(&read("schema/standard-call-event.json")).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let mut event: Value = properties.iter().map(|(name, property)| (name.clone(), example(name, property))).collect();
    event["beyond"] = json!("kept");
    let bench = Bench::new(&json!({})).await;
    assert_eq!(bench.standard(event.to_string().as_bytes()).await, Reply::accepted());
    let call = bench.kept.items().remove(0).call.unwrap();
    assert_eq!(Value::Object(call.provider_fields), json!({ "beyond": "kept" }));
    let readme = read("README.md");
    for name in properties.keys() {
        assert!(readme.contains(&format!("`{name}`")), "the README does not tell of {name}");
    }
    for kind in schema["properties"]["type"]["examples"].as_array().unwrap() {
        let body = json!({ "type": kind, "call_id": "c", "occurred_at": "2026-03-01T09:30:00Z" });
        bench.standard(body.to_string().as_bytes()).await;
        let item = bench.kept.items().pop().unwrap();
        let expected = kind.as_str().unwrap().trim_start_matches("call.");
        assert_eq!(item.call.unwrap().event.as_str(), expected);
    }
}

#[test]
fn the_readme_tells_of_every_provider() {
    let readme = read("README.md");
    for (name, _) in PROVIDERS {
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
}

/// Every test that the README's table names is there.
#[test]
fn each_edge_case_has_the_test_that_the_readme_names() {
    let mut sources = String::new();
    for folder in
        ["src", "tests", "../../shared/webhook/src", "../../shared/webhook/tests", "../../tests/src/bin/faults"]
    {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut sources);
    }
    let readme = read("README.md");
    let number = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok();
    let rows: Vec<&str> =
        readme.lines().filter(|line| number(line).is_some_and(|case| (33..=43).contains(&case))).collect();
    assert_eq!(rows.len(), 11, "edge cases 33 to 43");
    for row in rows {
        let tests = row.rsplit('|').nth(1).expect("a last cell");
        let names = tests.split('`').skip(1).step_by(2).filter(|name| name.contains('_'));
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "{name}");
        }
    }
}

fn gather(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a file"));
        }
    }
}

#[test]
fn the_shipped_configuration_names_every_provider_and_every_setting_of_an_account() {
    let shipped = read("../../deploy/config/phone-connector.toml");
    let words: Vec<&str> = shipped.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for (name, _) in PROVIDERS {
        assert!(words.contains(name), "{name}");
    }
    assert!(shipped.contains("\n#sweep_every_hours = 24\n"));
    for key in [
        "secret_file",
        "secrets_file",
        "region",
        "timezone",
        "cdr_file",
        "signature_method",
        "api_user",
        "api_password_file",
        "base_url",
    ] {
        assert!(shipped.contains(&format!("\n#:{key} = ")), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shell_example_is_accepted() {
    let bench = Bench::new(&json!({})).await;
    let kept = bench.kept.clone();
    let context = Context::for_tests();
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.unwrap();
    let (address, serving) = (server.address(), context.clone());
    let door = Arc::new(bench.door);
    tokio::spawn(async move { server.run(door, &serving).await });
    let sent = tokio::task::spawn_blocking(move || {
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/send-call-event"))
            .env("OUTCRY_SECRET", SECRET)
            .arg(format!("http://{address}/hooks/main"))
            .arg(r#"{"type":"call.note","call_id":"42","occurred_at":"2026-03-01T09:30:00Z","from":"02 12345678","note":"it broke, è rotto"}"#)
            .output()
            .expect("sh, curl and openssl")
    });
    let output = sent.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let item = kept.items().remove(0);
    assert_eq!((item.text.as_str(), item.customer.address.as_deref()), ("it broke, è rotto", Some("+390212345678")));
}

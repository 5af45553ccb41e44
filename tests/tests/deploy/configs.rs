//! deploy/config/*.toml: each file is read by the loader of its service, as it stands and with every mark removed.

use super::{root, services};
use std::{collections::BTreeSet, path::PathBuf};

/// Which lines of a file are taken for settings.
#[derive(Clone, Copy, PartialEq)]
enum Marks {
    /// As it stands.
    Kept,
    /// `#key = default` without its `#`.
    Defaults,
    /// That, and `#:` examples.
    Examples,
}

fn text(name: &str, marks: Marks) -> String {
    let text = super::read(&format!("deploy/config/{name}"));
    let unmark = |line: &str| {
        let example = line.strip_prefix("#:").filter(|_| marks == Marks::Examples);
        let starts = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
        let default = line.strip_prefix('#').filter(starts).filter(|_| marks != Marks::Kept);
        example.or(default).unwrap_or(line).to_owned()
    };
    text.lines().map(unmark).collect::<Vec<_>>().join("\n")
}

/// A folder with the files, and with every secret that they name.
fn folder(marks: Marks) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(root().join("deploy/config")).expect("deploy/config") {
        let name = entry.expect("a file").file_name().into_string().expect("utf-8");
        let text = super::readme::with_secrets_in(folder.path(), &text(&name, marks));
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn load(folder: &tempfile::TempDir, service: &str, names: &[&str]) -> String {
    let files: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
    let given = [("OUTCRY_IDENTITY__KEY", "a key of the test"), ("OUTCRY_CONSOLE__TOKEN", "0123456789abcdef")];
    let environment = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    services::load(service, &files, environment).unwrap_or_else(|error| panic!("{service} {names:?}: {error}"))
}

#[test]
fn every_service_has_a_file_and_every_file_a_service() {
    let files: BTreeSet<String> = std::fs::read_dir(root().join("deploy/config"))
        .expect("deploy/config")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("utf-8"))
        .collect();
    let mut expected: BTreeSet<String> = services::ALL.iter().map(|name| format!("{name}.toml")).collect();
    expected.extend(["common.toml".into(), "local.toml".into()]);
    assert_eq!(files, expected);
}

#[test]
fn every_file_is_read_as_it_stands() {
    let folder = folder(Marks::Kept);
    for service in services::ALL {
        let printed = load(&folder, service, &["common.toml", &format!("{service}.toml")]);
        assert!(printed.contains("127.0.0.1:9092"), "{printed}");
        // Without an account and a public address there is nothing for the phone-connector to do, and `up` leaves it out.
        if service != "phone-connector" {
            load(&folder, service, &["common.toml", "local.toml"]);
        }
    }
}

#[test]
fn the_defaults_shown_are_the_defaults() {
    let (kept, defaults) = (folder(Marks::Kept), folder(Marks::Defaults));
    for service in services::ALL {
        let names = ["common.toml", &format!("{service}.toml")];
        assert_eq!(load(&kept, service, &names), load(&defaults, service, &names), "{service}");
    }
}

#[test]
fn every_example_is_one_that_the_service_takes() {
    let (kept, examples) = (folder(Marks::Kept), folder(Marks::Examples));
    for service in services::ALL {
        let names = ["common.toml", &format!("{service}.toml")];
        let with = load(&examples, service, &names);
        if ["email-connector", "phone-connector", "social-connector", "notifier"].contains(&service) {
            assert_ne!(load(&kept, service, &names), with, "{service}'s examples change nothing");
        }
        load(&examples, service, &["common.toml", "local.toml"]);
    }
}

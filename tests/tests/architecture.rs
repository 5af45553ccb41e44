//! The house keeps its shape: which crates there are, who may know whom, and what every service has.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in test functions, not in their helpers")]

use cargo_metadata::{DependencyKind, Edition, Metadata, MetadataCommand, Package};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const SERVICES: [&str; 8] =
    ["email-connector", "phone-connector", "social-connector", "classifier", "sink", "notifier", "console", "outcry"];
const SHARED: [&str; 7] = ["domain", "classify", "runtime", "kafka", "webhook", "warehouse", "sandbox"];

/// Libraries with an owner: nobody else talks to that system directly.
const OWNED: [(&str, &[&str]); 5] = [
    ("rdkafka", &["outcry-kafka", "outcry-sandbox"]),
    ("rdkafka-sys", &["outcry-kafka", "outcry-sandbox"]),
    ("clickhouse", &["outcry-warehouse"]),
    ("async-imap", &["outcry-email-connector", "outcry-sandbox"]),
    ("lettre", &["outcry-notifier", "outcry-sandbox"]),
];

/// What a crate without I/O, clock or runtime does not need.
const IMPURE: [&str; 9] =
    ["tokio", "reqwest", "axum", "hyper", "rdkafka", "clickhouse", "outcry-runtime", "outcry-kafka", "tokio-util"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn package_name(folder: &str) -> String {
    if folder == "outcry" { folder.to_owned() } else { format!("outcry-{folder}") }
}

/// A crate may depend on crates of a lower floor only.
fn floor(package: &str) -> u8 {
    match package.strip_prefix("outcry-").unwrap_or(package) {
        "domain" => 0,
        "runtime" => 1,
        "kafka" => 2,
        "webhook" | "warehouse" | "classify" | "sandbox" => 3,
        "outcry" => 5,
        "tests" => 6,
        _ => 4,
    }
}

fn dependencies(package: &Package, kinds: &[DependencyKind]) -> BTreeSet<String> {
    let of_kind = |dependency: &&cargo_metadata::Dependency| kinds.contains(&dependency.kind);
    package.dependencies.iter().filter(of_kind).map(|dependency| dependency.name.clone()).collect()
}

fn packages() -> BTreeMap<String, Package> {
    metadata().packages.into_iter().map(|package| (package.name.to_string(), package)).collect()
}

#[test]
fn every_crate_of_the_design_is_there_and_no_other() {
    let found: BTreeMap<String, PathBuf> = packages()
        .into_iter()
        .map(|(name, package)| (name, package.manifest_path.parent().unwrap().strip_prefix(root()).unwrap().into()))
        .collect();
    let services = SERVICES.iter().map(|folder| (package_name(folder), Path::new("services").join(folder)));
    let shared = SHARED.iter().map(|folder| (package_name(folder), Path::new("shared").join(folder)));
    let expected = services.chain(shared).chain([("outcry-tests".to_owned(), PathBuf::from("tests"))]).collect();
    assert_eq!(found, expected);
}

#[test]
fn arrows_point_downward_only() {
    let packages = packages();
    let mut wrong = Vec::new();
    for (name, package) in &packages {
        let inside = |kinds| dependencies(package, kinds).into_iter().filter(|other| packages.contains_key(other));
        for other in inside(&[DependencyKind::Normal, DependencyKind::Build]) {
            let serves_tests_only = other == "outcry-sandbox" && !matches!(name.as_str(), "outcry" | "outcry-tests");
            if floor(&other) >= floor(name) || serves_tests_only || other == "outcry-tests" {
                wrong.push(format!("{name} -> {other}"));
            }
        }
        // A test of a crate may use the local stack, and the crate's own lower floors.
        for other in inside(&[DependencyKind::Development]) {
            if other != "outcry-sandbox" && floor(&other) >= floor(name) {
                wrong.push(format!("{name} -> {other} (in its tests)"));
            }
        }
    }
    assert!(wrong.is_empty(), "these arrows do not point downward: {wrong:#?}");
}

#[test]
fn each_outside_system_has_one_owner() {
    let mut wrong = Vec::new();
    for (name, package) in packages() {
        let used =
            dependencies(&package, &[DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development]);
        for (library, owners) in OWNED {
            if used.contains(library) && !owners.contains(&name.as_str()) {
                wrong.push(format!("{name} uses {library}, which belongs to {owners:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_vocabulary_and_the_classification_do_no_io() {
    let packages = packages();
    for name in ["outcry-domain", "outcry-classify"] {
        let used = dependencies(&packages[name], &[DependencyKind::Normal]);
        let impure: Vec<_> = used.iter().filter(|library| IMPURE.contains(&library.as_str())).collect();
        assert!(impure.is_empty(), "{name} must stay pure and uses {impure:?}");
    }
}

#[test]
fn no_release_carries_failpoints_or_wrong_ways_to_write() {
    let packages = packages();
    let hidden = ["failpoints", "controls"];
    for (name, package) in &packages {
        let defaults = package.features.get("default").cloned().unwrap_or_default();
        assert!(defaults.is_empty(), "{name} switches on {defaults:?} by default");
        for dependency in &package.dependencies {
            let on: Vec<_> =
                dependency.features.iter().filter(|feature| hidden.iter().any(|name| feature.contains(name))).collect();
            assert!(on.is_empty(), "{name} switches on {on:?} of {}", dependency.name);
            let optional = dependency.name != "fail" || dependency.optional;
            assert!(optional, "{name} always carries the crate `fail`");
        }
    }
    let sink = &packages["outcry-sink"];
    assert!(hidden.iter().all(|name| sink.features.contains_key(*name)), "renamed? {:?}", sink.features.keys());
    let binary = sink.targets.iter().find(|target| target.is_bin()).unwrap();
    assert!(binary.required_features.is_empty(), "{:?}", binary.required_features);
    let faulty = sink.targets.iter().find(|target| target.name == "faulty_sink").unwrap();
    assert!(hidden.iter().all(|name| faulty.required_features.iter().any(|required| required == name)));
    let image = fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    assert!(image.contains("cargo build --release") && !image.contains("features"), "{image}");
}

#[test]
fn every_service_has_the_same_rooms() {
    let mut missing = Vec::new();
    for service in SERVICES {
        let source = root().join("services").join(service).join("src");
        let rooms: &[&str] =
            if service == "outcry" { &["main.rs"] } else { &["main.rs", "lib.rs", "config.rs", "metrics.rs"] };
        missing.extend(rooms.iter().map(|room| source.join(room)).filter(|room| !room.is_file()));
        let lines = fs::read_to_string(source.join("main.rs")).unwrap_or_default().lines().count();
        let limit = if service == "outcry" { 120 } else { 40 };
        assert!(
            lines <= limit,
            "services/{service}/src/main.rs has {lines} lines; {limit} are enough to start a service"
        );
    }
    assert!(missing.is_empty(), "missing: {missing:#?}");
}

#[test]
fn every_crate_says_what_it_is_and_shares_edition_and_licence() {
    for (name, package) in packages() {
        assert_eq!(package.edition, Edition::E2024, "{name}");
        assert_eq!(package.license.as_deref(), Some("Apache-2.0"), "{name}");
        assert!(package.description.as_deref().is_some_and(|text| text.len() > 20), "{name} has no description");
        assert_eq!(package.rust_version.as_ref().map(ToString::to_string).as_deref(), Some("1.95.0"), "{name}");
    }
    let pinned = ["rust-toolchain", "rust-toolchain.toml"].map(|file| root().join(file));
    assert!(pinned.iter().all(|file| !file.exists()), "the toolchain is not pinned by a file");
}

#[test]
fn no_source_file_is_longer_than_a_person_reads() {
    let mut long = Vec::new();
    for folder in ["services", "shared", "tests"] {
        visit(&root().join(folder), &mut |file| {
            let lines = fs::read_to_string(file).unwrap_or_default().lines().count();
            if lines > 500 {
                long.push(format!("{}: {lines} lines", file.strip_prefix(root()).unwrap().display()));
            }
        });
    }
    assert!(long.is_empty(), "files over 500 lines: {long:#?}");
}

fn visit(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            visit(&path, see);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            see(&path);
        }
    }
}

//! docker-compose.yml says what the code says: files, binaries, settings, ports, health, users.

use super::{read, root, services};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The file, with merge keys expanded.
fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap_or_else(|error| panic!("docker-compose.yml: {error}"))
}

/// Services by name.
fn all(compose: &Value) -> BTreeMap<String, &Value> {
    compose["services"].as_object().expect("services").iter().map(|(name, value)| (name.clone(), value)).collect()
}

/// The services that run our own image.
fn ours(compose: &Value) -> BTreeMap<String, &Value> {
    all(compose).into_iter().filter(|(_, service)| service["build"].is_object()).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// `${NAME:-default}` as it is when nothing is set.
fn by_default(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (variable, after) = rest.split_once('}').expect("a closing brace");
    let (_, default) = variable.split_once(":-").unwrap_or_else(|| panic!("{variable} has no default"));
    format!("{before}{default}{}", by_default(after))
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let map = service["environment"].as_object();
    map.into_iter().flatten().map(|(name, value)| (name.clone(), by_default(value.as_str().expect("text")))).collect()
}

fn setting(service: &Value, name: &str) -> Option<String> {
    environment(service).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_else(|| panic!("{address} has no port"))
}

/// Secrets as `make-secrets` writes them, in a folder of their own.
fn made_secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let script = root().join("deploy/docker/make-secrets");
    let output = Command::new(script).arg(folder.path()).output().expect("make-secrets runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

#[test]
fn every_service_of_the_workspace_is_there_and_starts_a_binary_that_exists() {
    let compose = compose();
    let metadata = cargo_metadata::MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec();
    let metadata = metadata.expect("cargo metadata");
    let binaries: BTreeSet<&str> = metadata
        .packages
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin())
        .map(|target| target.name.as_str())
        .collect();
    for (name, service) in ours(&compose) {
        let command = strings(&service["command"]);
        assert!(binaries.contains(command[0].as_str()), "{name} starts {}, which no package builds", command[0]);
    }
    let started: BTreeSet<String> = ours(&compose).into_keys().collect();
    for service in services::ALL {
        assert!(started.contains(service), "{service} is missing");
    }
    assert_eq!(strings(&ours(&compose)["migrate"]["command"]), ["outcry", "migrate"]);
}

#[test]
fn every_file_it_names_exists_or_is_made_by_make_secrets() {
    let compose = compose();
    let secrets = made_secrets();
    let exists = |path: &str| {
        let made = path.strip_prefix("./secrets/").is_some_and(|rest| secrets.path().join(rest).exists());
        made || root().join(path).exists()
    };
    for (name, service) in all(&compose) {
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            if source.starts_with("./") {
                assert!(exists(source), "{name} mounts {source}, which does not exist");
                assert!(volume.ends_with(":ro"), "{name} can write {source}");
            } else {
                assert!(
                    compose["volumes"].get(source).is_some(),
                    "{name} uses the volume {source}, which is not declared"
                );
            }
        }
        if let Some(dockerfile) = service["build"]["dockerfile"].as_str() {
            assert!(exists(dockerfile), "{dockerfile}");
        }
        for secret in strings(&service["secrets"]) {
            assert!(
                compose["secrets"].get(&secret).is_some(),
                "{name} uses the secret {secret}, which is not declared"
            );
        }
    }
    let readme = read("secrets/README.md");
    for (name, secret) in compose["secrets"].as_object().expect("secrets") {
        let file = secret["file"].as_str().expect("a file");
        assert!(exists(file), "make-secrets does not write {file}");
        assert!(readme.contains(&format!("`{name}.txt`")), "secrets/README.md does not explain {name}");
    }
}

#[test]
fn making_secrets_again_changes_none_and_each_is_random() {
    let folder = made_secrets();
    let content = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let (identity, sink) = (content("identity_key.txt"), content("clickhouse_sink.txt"));
    assert!(identity.len() == 64 && sink.len() == 64 && identity != sink);
    let again = Command::new(root().join("deploy/docker/make-secrets")).arg(folder.path()).output().expect("runs");
    assert!(again.status.success());
    assert_eq!(content("identity_key.txt"), identity);
}

/// Files and settings as the container would see them, with the paths of this machine.
fn as_in_the_container(service: &Value, secrets: &Path) -> (Vec<PathBuf>, Vec<(String, String)>) {
    let declared = strings(&service["secrets"]);
    let mut settings = environment(service);
    for (name, value) in &mut settings {
        if let Some(secret) = value.strip_prefix("/run/secrets/") {
            assert!(
                declared.iter().any(|known| known == secret),
                "{name} reads {secret}, which the service is not given"
            );
            *value = secrets.join(format!("{secret}.txt")).to_str().expect("utf-8").to_owned();
        }
    }
    let files = setting(service, "OUTCRY_CONFIG").expect("OUTCRY_CONFIG");
    let files = files.split(':').map(|file| {
        let name = file.strip_prefix("/etc/outcry/").unwrap_or_else(|| panic!("{file} is not mounted"));
        root().join("deploy/config").join(name)
    });
    (files.collect(), settings)
}

#[test]
fn every_setting_is_one_that_the_service_reads() {
    let compose = compose();
    let secrets = made_secrets();
    for name in services::ALL {
        let services = ours(&compose);
        let (files, settings) = as_in_the_container(services[name], secrets.path());
        let printed = services::load(name, &files, settings).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(printed.contains("kafka:9092"), "{name} does not take the broker from the environment:\n{printed}");
        assert!(printed.contains("0.0.0.0:9464"), "{name}:\n{printed}");
    }
}

#[test]
fn a_setting_that_no_service_knows_is_refused() {
    let compose = compose();
    let secrets = made_secrets();
    let services = ours(&compose);
    let (files, mut settings) = as_in_the_container(services["sink"], secrets.path());
    settings.push(("OUTCRY_SINK__MAX_ROWZ".into(), "5".into()));
    let error = services::load("sink", &files, settings).expect_err("refused");
    assert!(error.contains("max_rows"), "{error}");
}

#[tokio::test]
async fn health_is_asked_where_the_service_answers() {
    let compose = compose();
    outcry_runtime::install_crypto_provider();
    let context = outcry_runtime::Context::for_tests();
    let stop = outcry_runtime::CancellationToken::new();
    let exporter = outcry_runtime::install_exporter().expect("an exporter");
    let address = outcry_runtime::serve_health("127.0.0.1:0", &context, exporter, stop.clone()).await.expect("listens");
    for (name, service) in ours(&compose) {
        if name == "migrate" {
            continue;
        }
        let probe = strings(&service["healthcheck"]["test"]);
        let url = reqwest::Url::parse(probe.last().expect("a url")).expect("a url");
        let listen = setting(service, "OUTCRY_HTTP__METRICS_LISTEN").expect("an address");
        assert_eq!(url.port(), Some(port(&listen)), "{name}");
        let answer = reqwest::get(format!("http://{address}{}", url.path())).await.expect("an answer");
        assert_ne!(answer.status(), 404, "{name} is asked for {}", url.path());
    }
    let unknown = reqwest::get(format!("http://{address}/health/unknown")).await.expect("an answer");
    assert_eq!(unknown.status(), 404);
    stop.cancel();
}

#[test]
fn only_the_webhook_and_the_console_are_published_and_only_to_this_machine() {
    let compose = compose();
    let mut published = BTreeMap::new();
    for (name, service) in all(&compose) {
        for mapping in strings(&service["ports"]) {
            let mapping = by_default(&mapping);
            let parts: Vec<&str> = mapping.split(':').collect();
            let [bind, outside, inside] = parts[..] else { panic!("{name} publishes {mapping} to everybody") };
            assert_eq!(bind, "127.0.0.1", "{name}");
            published.insert(name.clone(), (outside.to_owned(), inside.parse::<u16>().expect("a port")));
        }
    }
    assert_eq!(published.remove("prometheus"), Some(("9090".to_owned(), 9090)));
    let services = ours(&compose);
    let phone = setting(services["phone-connector"], "OUTCRY_PHONE__LISTEN").expect("an address");
    let console = setting(services["console"], "OUTCRY_CONSOLE__LISTEN").expect("an address");
    assert_eq!(published.remove("phone-connector"), Some(("8080".to_owned(), port(&phone))));
    assert_eq!(published.remove("console"), Some(("8090".to_owned(), port(&console))));
    assert!(published.is_empty(), "{published:?}");
}

#[test]
fn what_runs_is_pinned_limited_and_without_privileges() {
    let compose = compose();
    for (name, service) in all(&compose) {
        let image = by_default(service["image"].as_str().expect("an image"));
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{name}: {image}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name} may take all memory");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");
        let restart = service["restart"].as_str().expect("a restart policy");
        assert_eq!(restart, if name == "migrate" { "on-failure" } else { "unless-stopped" }, "{name}");
    }
    for (name, service) in ours(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        let user = service["user"].as_str().expect("a user");
        assert!(!user.starts_with('0') && user != "root", "{name}");
        let grace = service["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s')).expect("seconds");
        let grace = Duration::from_secs(grace.parse().expect("a number"));
        assert!(grace > outcry_runtime::SHUTDOWN_BUDGET, "{name} would be killed while it drains");
    }
}

#[test]
fn nothing_starts_before_what_it_needs() {
    let compose = compose();
    for (name, service) in ours(&compose) {
        let needs = service["depends_on"].as_object().unwrap_or_else(|| panic!("{name} depends on nothing"));
        assert_eq!(needs["kafka"]["condition"], "service_healthy", "{name}");
        for needed in needs.keys() {
            let other = all(&compose)[needed];
            let one_shot = needs[needed]["condition"] == "service_completed_successfully";
            assert!(
                one_shot || other["healthcheck"]["test"].is_array(),
                "{name} waits for {needed}, which has no check"
            );
        }
        if name == "migrate" {
            assert_eq!(needs["clickhouse"]["condition"], "service_healthy");
        } else {
            assert_eq!(needs["migrate"]["condition"], "service_completed_successfully", "{name}");
        }
    }
}

#[test]
fn addresses_name_services_of_the_file_and_ports_that_they_open() {
    let compose = compose();
    let services = all(&compose);
    let advertised = setting(services["kafka"], "KAFKA_ADVERTISED_LISTENERS").expect("listeners");
    for (name, service) in ours(&compose) {
        let brokers = setting(service, "OUTCRY_KAFKA__BOOTSTRAP_SERVERS").expect("brokers");
        assert_eq!(advertised, format!("PLAINTEXT://{brokers}"), "{name}");
        if let Some(url) = setting(service, "OUTCRY_CLICKHOUSE__URL") {
            assert_eq!(url, "http://clickhouse:8123", "{name}");
            let user = setting(service, "OUTCRY_CLICKHOUSE__USERNAME").expect("a user");
            let password = setting(service, "OUTCRY_CLICKHOUSE__PASSWORD_FILE").expect("a password");
            assert_eq!(password, format!("/run/secrets/clickhouse_{user}"), "{name}");
        }
    }
    let targets: Value = serde_saphyr::from_str(&read("deploy/prometheus/prometheus.yml")).expect("yaml");
    let targets: BTreeSet<String> =
        strings(&targets["scrape_configs"][0]["static_configs"][0]["targets"]).into_iter().collect();
    let expected: BTreeSet<String> = services::ALL.iter().map(|service| format!("{service}:9464")).collect();
    assert_eq!(targets, expected);
    let _: Value = serde_saphyr::from_str(&read("deploy/prometheus/alerts.yml")).expect("yaml");
}

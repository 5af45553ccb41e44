use super::*;
use std::io::Write;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    kafka: Kafka,
    #[serde(default)]
    http: Http,
    #[serde(default)]
    phone: Phone,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kafka {
    bootstrap_servers: String,
    #[serde(default)]
    password: Secret,
    #[serde(default)]
    retries: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phone {
    accounts: Vec<Account>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    name: String,
    secret: Secret,
}

const READ: &[&str] = &["kafka", "http", "phone"];

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn load_text(content: &str, environment: &[(&str, &str)]) -> Result<Sample, ConfigError> {
    let file = file(content);
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    load_from(&[file.path().to_owned()], environment, READ)
}

#[test]
fn the_environment_overrides_files_and_files_override_defaults() {
    let text = "[kafka]\nbootstrap_servers = 'a:1'\nretries = 3";
    let sample = load_text(text, &[("OUTCRY_KAFKA__BOOTSTRAP_SERVERS", "b:2"), ("OUTCRY_CACHE", "/x")]).unwrap();
    assert_eq!((sample.kafka.bootstrap_servers.as_str(), sample.kafka.retries), ("b:2", 3));
    assert_eq!(sample.http.metrics_listen, "127.0.0.1:0");
    assert_eq!(load_text(text, &[("OUTCRY_KAFKA__RETRIES", "7")]).unwrap().kafka.retries, 7);
}

#[test]
fn a_number_in_the_environment_may_be_a_password() {
    let sample = load_text("[kafka]\nbootstrap_servers = 'a:1'", &[("OUTCRY_KAFKA__PASSWORD", "0123")]).unwrap();
    assert_eq!(sample.kafka.password.expose(), "0123");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let error = load_text("[kafka]\nbootstrap_server = 'a:1'", &[]).unwrap_err().to_string();
    assert_eq!(error, "unknown configuration key `kafka.bootstrap_server`; did you mean `bootstrap_servers`?");
    let error = load_text("[kafak]\nbootstrap_servers = 'a:1'", &[]).unwrap_err().to_string();
    assert_eq!(error, "unknown configuration key `kafak`; did you mean `kafka`?");
    let text = "[kafka]\nbootstrap_servers = 'a:1'\n[[phone.accounts]]\nname = 'main'\nsecrte = 'x'";
    let error = load_text(text, &[]).unwrap_err().to_string();
    assert_eq!(error, "unknown configuration key `phone.accounts[0].secrte`; did you mean `secret`?");
    let error = load_text("[kafka]\nbootstrap_servers = 'a:1'", &[("OUTCRY_KAFKA__RETIRES", "7")]).unwrap_err();
    assert_eq!(error.to_string(), "unknown configuration key `kafka.retires`; did you mean `retries`?");
}

#[test]
fn sections_of_other_services_are_left_alone() {
    load_text("[kafka]\nbootstrap_servers = 'a:1'\n[sink]\nmax_rows = 1", &[]).unwrap();
}

#[test]
fn a_wrong_type_says_where() {
    let error = load_text("[kafka]\nbootstrap_servers = 'a:1'\nretries = 'many'", &[]).unwrap_err().to_string();
    assert!(error.starts_with("configuration key `kafka.retries`: "), "{error}");
}

#[test]
fn a_missing_value_says_what() {
    let error = load_text("[kafka]\nretries = 1", &[]).unwrap_err().to_string();
    assert!(error.contains("bootstrap_servers"), "{error}");
}

#[test]
fn secrets_come_from_files_and_never_print() {
    let secret = file("hunter2\n");
    let path = secret.path().display();
    let text = format!(
        "[kafka]\nbootstrap_servers = 'a:1'\npassword_file = '{path}'\n[[phone.accounts]]\nname = 'main'\nsecret_file = '{path}'"
    );
    let sample = load_text(&text, &[]).unwrap();
    assert_eq!(sample.kafka.password.expose(), "hunter2");
    assert_eq!((sample.phone.accounts[0].name.as_str(), sample.phone.accounts[0].secret.expose()), ("main", "hunter2"));
    assert!(!format!("{sample:?}").contains("hunter2"));
    let missing = "[kafka]\nbootstrap_servers = 'a:1'\npassword_file = '/nowhere/secret'";
    let error = load_text(missing, &[]).unwrap_err().to_string();
    assert!(error.contains("kafka.password") && error.contains("/nowhere/secret"), "{error}");
}

#[test]
fn the_dump_is_redacted() {
    let mut inner = Map::new();
    inner.insert("password".into(), Value::new(None, "hunter2"));
    inner.insert("url".into(), Value::new(None, "http://x"));
    let mut outer = Map::new();
    outer.insert("clickhouse".into(), Value::new(None, inner));
    assert_eq!(
        redacted(&Value::new(None, outer)),
        serde_json::json!({ "clickhouse": { "password": "***", "url": "http://x" } })
    );
}

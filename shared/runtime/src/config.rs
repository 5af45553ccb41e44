//! Layered configuration: built-in defaults, then files, then `OUTCRY_SECTION__KEY` from the environment.
//!
//! One file may hold the sections of all services; each service reads its own. An unknown key is an error that names the
//! nearest known one. Any secret `x` may be given as `x_file`, the path of a file that holds it.

mod secret;
mod unknown_key;

pub use secret::Secret;

use ::config::{Config, File, FileFormat, Map, Value, ValueKind};
use outcry_domain::CustomerKey;
use serde::{Deserialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// Every section there is. A top-level key that is none of these is a mistake, whichever service reads the file.
pub const SECTIONS: &[&str] = &[
    "kafka",
    "clickhouse",
    "http",
    "identity",
    "brands",
    "email",
    "phone",
    "social",
    "classifier",
    "sink",
    "notifier",
    "console",
];

/// Keys that hold secrets, in any section. `KEY_file` names a file to read instead; a dump shows `***`.
const SECRET_KEYS: &[&str] = &[
    "password",
    "api_password",
    "token",
    "secret",
    "secrets",
    "key",
    "client_secret",
    "refresh_token",
    "access_token",
    "hash_key",
];

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read or is not TOML.
    #[error("reading the configuration: {0}")]
    Unreadable(#[from] ::config::ConfigError),
    /// A secret's file cannot be read.
    #[error("reading the secret {key} from {}: {source}. Does the file exist, and may this user read it?", path.display())]
    SecretFile {
        /// The configuration key.
        key: String,
        /// The file it names.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that nobody reads.
    #[error("unknown configuration key `{key}`{}", nearest.as_ref().map(|known| format!("; did you mean `{known}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key as written, with its path.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type, or one that is missing.
    #[error("configuration key `{key}`: {problem}")]
    Invalid {
        /// Where.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

/// `[http]`: the service's own small server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address of `/health/live`, `/health/ready` and `/metrics`. Port 0 takes a free one.
    pub metrics_listen: String,
}

impl Default for Http {
    fn default() -> Self {
        Self { metrics_listen: "127.0.0.1:0".into() }
    }
}

/// `[identity]`: how customers are recognised without storing who they are in every row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Secret under which addresses are hashed. Keep it: with another one every customer is a new one.
    pub key: Secret,
}

impl Identity {
    /// The key in the form that the vocabulary takes.
    pub fn customer_key(&self) -> CustomerKey {
        CustomerKey::new(self.key.expose().as_bytes())
    }
}

/// Loads the files in order, then the environment, and gives the sections that `C` reads.
pub fn load<C: DeserializeOwned>(files: &[PathBuf], sections: &[&str]) -> Result<C, ConfigError> {
    load_from(files, std::env::vars(), sections)
}

/// [`load`] with the environment handed in.
pub fn load_from<C: DeserializeOwned>(
    files: &[PathBuf],
    environment: impl IntoIterator<Item = (String, String)>,
    sections: &[&str],
) -> Result<C, ConfigError> {
    let mut builder = Config::builder();
    for file in files {
        builder = builder.add_source(File::from(file.as_path()).format(FileFormat::Toml));
    }
    for (key, value) in overrides(environment) {
        builder = builder.set_override(key, value)?;
    }
    let mut all = builder.build()?.cache.into_table()?;
    for name in all.keys() {
        if !SECTIONS.contains(&name.as_str()) {
            return Err(ConfigError::UnknownKey { key: name.clone(), nearest: unknown_key::nearest(name, SECTIONS) });
        }
    }
    all.retain(|name, _| sections.contains(&name.as_str()));
    let base = files.last().and_then(|file| file.parent()).unwrap_or(Path::new("")).to_owned();
    let mut root = Value::new(None, ValueKind::Table(all));
    resolve_secret_files(&mut root, "", &base)?;
    let dump = redacted(&root);
    let mut track = serde_path_to_error::Track::new();
    let config = C::deserialize(serde_path_to_error::Deserializer::new(root, &mut track))
        .map_err(|error| unknown_key::explain(&track.path().to_string(), &error.to_string()))?;
    // Only now: a secret under a mistyped key is not known to be one, and would print.
    tracing::info!(config = %dump, "configuration");
    Ok(config)
}

/// `OUTCRY_KAFKA__TOPIC_PREFIX=x` sets `kafka.topic_prefix`. Variables without `__` are not configuration.
fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut found: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| {
            let path = name.strip_prefix("OUTCRY_")?;
            path.contains("__").then(|| (path.to_lowercase().replace("__", "."), value))
        })
        .collect();
    found.sort();
    found
}

/// Replaces `x_file = "path"` by `x = content`, for the keys that hold secrets.
fn resolve_secret_files(value: &mut Value, path: &str, base: &Path) -> Result<(), ConfigError> {
    match &mut value.kind {
        ValueKind::Table(table) => {
            let file_keys: Vec<String> = table
                .keys()
                .filter(|key| key.strip_suffix("_file").is_some_and(|secret| SECRET_KEYS.contains(&secret)))
                .cloned()
                .collect();
            for file_key in file_keys {
                let Some(file) = table.remove(&file_key).and_then(|value| value.into_string().ok()) else { continue };
                let key = file_key.trim_end_matches("_file").to_owned();
                let file = base.join(file);
                let content = std::fs::read_to_string(&file).map_err(|source| ConfigError::SecretFile {
                    key: format!("{path}{key}"),
                    path: file,
                    source,
                })?;
                table.insert(
                    key,
                    Value::new(None, ValueKind::String(content.trim_end_matches(['\r', '\n']).to_owned())),
                );
            }
            table.iter_mut().try_for_each(|(key, value)| resolve_secret_files(value, &format!("{path}{key}."), base))
        }
        ValueKind::Array(values) => values.iter_mut().try_for_each(|value| resolve_secret_files(value, path, base)),
        _ => Ok(()),
    }
}

/// The configuration as JSON with every secret replaced.
fn redacted(value: &Value) -> serde_json::Value {
    match &value.kind {
        ValueKind::Table(table) => redacted_table(table),
        ValueKind::Array(values) => values.iter().map(redacted).collect(),
        ValueKind::Nil => serde_json::Value::Null,
        ValueKind::Boolean(flag) => (*flag).into(),
        ValueKind::I64(number) => (*number).into(),
        ValueKind::Float(number) => (*number).into(),
        other => other.to_string().into(),
    }
}

fn redacted_table(table: &Map<String, Value>) -> serde_json::Value {
    let shown = table.iter().map(|(key, value)| {
        let secret = SECRET_KEYS.contains(&key.as_str());
        (key.clone(), if secret { "***".into() } else { redacted(value) })
    });
    serde_json::Value::Object(shown.collect())
}

#[cfg(test)]
mod tests;

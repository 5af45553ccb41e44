//! `[clickhouse]`: where the server is and who we are there.

use outcry_runtime::Secret;
use serde::Deserialize;

/// The `[clickhouse]` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseConfig {
    /// Address of the HTTP interface, such as `http://127.0.0.1:8123`; no user and no path in it.
    pub url: String,
    /// The database, of letters, digits and underscores; `migrate` creates it.
    pub database: String,
    /// The user. The sink needs INSERT, SELECT and KILL QUERY; `migrate` needs CREATE as well; reports need the views alone.
    pub username: String,
    /// The user's password, or `password_file`.
    pub password: Secret,
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".into(),
            database: "outcry".into(),
            username: "default".into(),
            password: Secret::default(),
        }
    }
}

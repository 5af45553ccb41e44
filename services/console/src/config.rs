//! Settings: `[console]`, beside the sections that services share.

use outcry_domain::Brand;
use outcry_kafka::KafkaConfig;
use outcry_runtime::{Secret, ServiceConfig, config::Http};
use outcry_warehouse::ClickHouseConfig;
use serde::Deserialize;
use std::net::SocketAddr;
use url::Url;

/// What the console is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where health and metrics are served.
    #[serde(default)]
    pub http: Http,
    /// The cluster.
    pub kafka: KafkaConfig,
    /// Where reports are asked. The read-only user is enough.
    pub clickhouse: ClickHouseConfig,
    /// The brands that case events may be about.
    #[serde(default)]
    pub brands: Vec<Brand>,
    /// The page and API.
    #[serde(default)]
    pub console: Console,
}

/// `[console]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Address to listen on. TLS is the business of the proxy in front.
    pub listen: String,
    /// The address under which people reach it. With `https`, the login cookie is for https only.
    pub public_url: Option<String>,
    /// Who may look.
    pub authentication: Authentication,
    /// The secret that opens page and API, at least 16 characters. Posting case events always needs it.
    pub token: Option<Secret>,
}

impl Default for Console {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".into(), public_url: None, authentication: Authentication::Token, token: None }
    }
}

/// Who may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Whoever has the token.
    #[default]
    Token,
    /// Whoever is on this machine: only on a loopback address. Posting still needs the token.
    Local,
}

const SHORTEST_TOKEN: usize = 16;

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "clickhouse", "brands", "console"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let console = &self.console;
        let listen = console.listen.parse::<SocketAddr>();
        if listen.is_err() {
            problems.push(format!("console.listen: {:?} is not an address such as 127.0.0.1:8080", console.listen));
        }
        match (console.authentication, &console.token) {
            (Authentication::Token, None) => {
                problems
                    .push("console.token is missing: give token or token_file, or authentication = \"local\"".into());
            }
            (_, Some(token)) if token.expose().len() < SHORTEST_TOKEN => {
                problems.push(format!("console.token is shorter than {SHORTEST_TOKEN} characters"));
            }
            _ => {}
        }
        if console.authentication == Authentication::Local && listen.is_ok_and(|address| !address.ip().is_loopback()) {
            problems.push("console.authentication \"local\" needs a loopback address in console.listen".into());
        }
        if let Some(url) = &console.public_url
            && !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        {
            problems.push(format!("console.public_url: {url:?} is not an http or https address"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(console: &str) -> Vec<String> {
        let text = format!(
            "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n[clickhouse]\nurl = \"http://127.0.0.1:1\"\n\
             database = \"outcry\"\nusername = \"analyst\"\npassword = \"\"\n[console]\n{console}"
        );
        let config: Config = toml::from_str(&text).unwrap();
        config.validate().err().unwrap_or_default()
    }

    #[test]
    fn without_a_token_nobody_gets_in_by_accident() {
        assert!(problems("")[0].contains("console.token is missing"));
        assert_eq!(problems("token = \"0123456789abcdef\""), Vec::<String>::new());
        assert!(problems("token = \"short\"")[0].contains("shorter than 16"));
    }

    #[test]
    fn local_mode_stays_on_this_machine() {
        assert_eq!(problems("authentication = \"local\""), Vec::<String>::new());
        assert!(problems("authentication = \"local\"\nlisten = \"0.0.0.0:80\"")[0].contains("loopback"));
    }

    #[test]
    fn addresses_are_checked() {
        let found = problems("token = \"0123456789abcdef\"\nlisten = \"here\"\npublic_url = \"ftp://x\"");
        assert!(found.iter().any(|p| p.contains("console.listen")) && found.iter().any(|p| p.contains("public_url")));
    }
}

//! Settings: `[social]` and `[[social.accounts]]`, beside the sections that every connector shares.

use outcry_domain::{Brand, brand::account_problems};
use outcry_kafka::KafkaConfig;
use outcry_runtime::{
    Secret, ServiceConfig,
    config::{Http, Identity},
};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// What the social-connector is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where health and metrics are served.
    #[serde(default)]
    pub http: Http,
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The brands that accounts belong to.
    #[serde(default)]
    pub brands: Vec<Brand>,
    /// The secret under which customers' accounts are hashed.
    pub identity: Identity,
    /// What to read.
    #[serde(default)]
    pub social: Social,
}

/// `[social]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Social {
    /// Address for networks that push (`meta`). No network that is built pushes, so nothing listens yet.
    pub listen: Option<String>,
    /// The address under which those networks reach us.
    pub public_url: Option<String>,
    /// The accounts to read.
    pub accounts: Vec<Account>,
    /// Pause between two readings of an account.
    pub poll_interval_seconds: u64,
    /// Pause between two checks of recent posts for edits and deletions; 0 switches the checks off.
    pub recheck_interval_seconds: u64,
    /// How many recent posts of an account are checked for edits and deletions.
    pub recheck_posts: usize,
    /// How many of them are checked at a time. Each costs one request of the network's allowance.
    pub recheck_batch: usize,
}

impl Default for Social {
    fn default() -> Self {
        Self {
            listen: None,
            public_url: None,
            accounts: Vec::new(),
            poll_interval_seconds: 15,
            recheck_interval_seconds: 60,
            recheck_posts: 200,
            recheck_batch: 20,
        }
    }
}

impl Social {
    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_secs(self.poll_interval_seconds)
    }

    pub(crate) fn recheck_interval(&self) -> Option<Duration> {
        (self.recheck_interval_seconds > 0 && self.recheck_posts > 0 && self.recheck_batch > 0)
            .then(|| Duration::from_secs(self.recheck_interval_seconds))
    }
}

/// One `[[social.accounts]]` entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Short, lasting name; the source is `social:NAME`.
    pub name: String,
    /// The brand's id.
    pub brand: String,
    /// `mastodon`. Others of the design (`bluesky`, `reddit`, `x`, `youtube`, `meta`, `feed`) are not built yet.
    pub network: String,
    /// The server, such as `https://mastodon.example`; a test or a proxy may stand in its place.
    pub base_url: String,
    /// Access token with the scopes `read:accounts`, `read:notifications` and `read:statuses`.
    pub token: Secret,
    /// Handles of the brand elsewhere on the network. Kept for networks that are searched; `mastodon` needs none.
    #[serde(default)]
    pub handles: Vec<String>,
    /// Words to search for. Kept for networks that are searched; `mastodon` needs none.
    #[serde(default)]
    pub keywords: Vec<String>,
}

impl Account {
    /// The source's name in items, coverage and checkpoints.
    pub fn source(&self) -> String {
        format!("social:{}", self.name)
    }
}

const PLANNED: &[&str] = &["bluesky", "reddit", "x", "youtube", "meta", "feed"];

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "brands", "identity", "social"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let social = &self.social;
        if social.poll_interval_seconds == 0 {
            problems.push("social.poll_interval_seconds is 0: give at least 1".into());
        }
        let names = social.accounts.iter().map(|account| (account.name.as_str(), account.brand.as_str()));
        let common = account_problems(&self.brands, names);
        for (index, (account, common)) in social.accounts.iter().zip(common).enumerate() {
            let at = format!("social.accounts[{index}] ({:?})", account.name);
            problems.extend(common.into_iter().chain(account.problems()).map(|problem| format!("{at}: {problem}")));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Account {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.name.is_empty() || self.name.chars().any(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
            problems.push("name must be letters, digits, '-', '_' or '.'".to_owned());
        }
        match self.network.as_str() {
            "mastodon" => {}
            planned if PLANNED.contains(&planned) => {
                problems.push(format!("not built yet: network {planned:?}; \"mastodon\" is"));
            }
            unknown => problems.push(format!("network {unknown:?} is not known; \"mastodon\" is")),
        }
        match Url::parse(&self.base_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => problems.push(format!("base_url {:?} is not an http or https address", self.base_url)),
        }
        if self.token.expose().trim().is_empty() {
            problems.push("token is empty; give token or token_file".into());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(accounts: &str) -> Config {
        let text = format!(
            "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n[identity]\nkey = \"k\"\n\
             [[brands]]\nid = \"acme\"\nname = \"Acme\"\n{accounts}"
        );
        toml::from_str(&text).unwrap()
    }

    fn account(network: &str) -> String {
        format!(
            "[[social.accounts]]\nname = \"m\"\nbrand = \"acme\"\nnetwork = \"{network}\"\n\
             base_url = \"https://example.social\"\ntoken = \"t\"\n"
        )
    }

    #[test]
    fn a_mastodon_account_is_accepted() {
        config(&account("mastodon")).validate().unwrap();
    }

    #[test]
    fn a_network_of_the_design_says_that_it_is_not_built_yet() {
        let problems = config(&account("bluesky")).validate().unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("not built yet: network \"bluesky\""), "{problems:?}");
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mistaken = account("mastodon").replace("acme", "other").replace("https://", "").replace("\"t\"", "\"\"");
        let problems = config(&format!("{}{mistaken}", account("mastodon"))).validate().unwrap_err();
        let expected = ["names must differ", "not one of [[brands]]", "base_url", "token is empty"];
        assert!(expected.iter().all(|part| problems.iter().any(|p| p.contains(part))), "{problems:?}");
    }

    #[test]
    fn a_token_does_not_print() {
        assert!(!format!("{:?}", config(&account("mastodon").replace("\"t\"", "\"s3cret\""))).contains("s3cret"));
    }
}

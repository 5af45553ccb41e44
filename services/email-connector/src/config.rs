//! Settings: `[[email.mailboxes]]`, beside the sections that every connector shares.

use outcry_domain::{Brand, brand::account_problems};
use outcry_kafka::KafkaConfig;
use outcry_runtime::{
    Secret, ServiceConfig,
    config::{Http, Identity},
};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// What the email-connector is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where health and metrics are served.
    #[serde(default)]
    pub http: Http,
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The brands that mailboxes belong to.
    #[serde(default)]
    pub brands: Vec<Brand>,
    /// The secret under which customers' addresses are hashed.
    pub identity: Identity,
    /// What to read.
    #[serde(default)]
    pub email: Email,
}

/// `[email]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// The mailboxes to read.
    pub mailboxes: Vec<MailboxConfig>,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// TLS from the first byte (port 993).
    #[default]
    Implicit,
    /// Begins in clear and must change to TLS before anything is told (port 143); a server that does not offer it is
    /// refused.
    Starttls,
    /// In clear: for one machine.
    None,
}

/// One `[[email.mailboxes]]` entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxConfig {
    /// Short, lasting name; the source is `email:NAME`.
    pub name: String,
    /// The brand's id.
    pub brand: String,
    /// The IMAP server; its certificate must bear this name.
    pub host: String,
    /// Its port; 993 with implicit TLS, else 143, when it is not given.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// Who logs in.
    pub username: String,
    /// Password, or an application password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Instead of a password.
    #[serde(default)]
    pub oauth2: Option<OAuth2>,
    /// Folders in which mail arrives.
    #[serde(default = "inbox")]
    pub folders: Vec<String>,
    /// Folders that hold what we sent: these are the answers that response times come from.
    #[serde(default)]
    pub sent_folders: Vec<String>,
    /// On the first run, mail that the server received before this day (`2026-01-31`) is left alone.
    #[serde(default)]
    pub since: Option<String>,
    /// Certificate authority of the server, if it is not one of the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Pause between two looks at a folder whose server does not announce new mail.
    #[serde(default = "default_poll_interval_seconds")]
    pub poll_interval_seconds: u64,
    /// Let the server announce new mail (IDLE) where it can.
    #[serde(default = "yes")]
    pub idle: bool,
    /// Larger mails are stored with their beginning only, and described in dead letters.
    #[serde(default = "default_max_message_bytes")]
    pub max_message_bytes: u32,
    /// Pause between two comparisons of what the server lists with what was produced.
    #[serde(default = "default_sweep_interval_seconds")]
    pub sweep_interval_seconds: u64,
    /// After this long without an answer the connection is given up.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
    /// Connections at once; with more folders than that, the last of them take turns on one connection and are polled.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
}

/// `oauth2 = { … }` of a mailbox: the refresh-token grant of RFC 6749, then SASL XOAUTH2.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Whose token endpoint it is; else give `token_url`.
    #[serde(default)]
    pub provider: Option<Issuer>,
    /// Of a provider: another server in its place.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Of Microsoft: the directory; `organizations` when it is not given.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Where access tokens are issued, of any other provider.
    #[serde(default)]
    pub token_url: Option<String>,
    /// The application.
    pub client_id: String,
    /// Its secret; public applications have none.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// The grant that a person gave once.
    pub refresh_token: Secret,
    /// Scope, where the issuer asks for it; that of Microsoft is known.
    #[serde(default)]
    pub scope: Option<String>,
    /// A file of ours for the refresh token that the issuer gives in place of the one above: Microsoft's first one ends after
    /// 90 days. Without it the new one is known until we stop.
    #[serde(default)]
    pub renewed_token_path: Option<PathBuf>,
}

/// Issuers of access tokens whose endpoint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Issuer {
    /// Google Workspace and Gmail.
    Google,
    /// Microsoft 365 and Outlook.
    Microsoft,
}

impl OAuth2 {
    pub(crate) fn token_url(&self) -> String {
        let base = |standard: &str| self.base_url.as_deref().unwrap_or(standard).trim_end_matches('/').to_owned();
        match (self.provider, &self.token_url) {
            (Some(Issuer::Google), _) => format!("{}/token", base("https://oauth2.googleapis.com")),
            (Some(Issuer::Microsoft), _) => {
                let tenant = self.tenant.as_deref().unwrap_or("organizations");
                format!("{}/{tenant}/oauth2/v2.0/token", base("https://login.microsoftonline.com"))
            }
            (None, given) => given.clone().unwrap_or_default(),
        }
    }

    /// Microsoft issues tokens that no IMAP server takes when it is not told what for.
    pub(crate) fn scope(&self) -> Option<String> {
        let known = "https://outlook.office.com/IMAP.AccessAsUser.All offline_access";
        self.scope.clone().or_else(|| (self.provider == Some(Issuer::Microsoft)).then(|| known.to_owned()))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (self.provider, &self.token_url) {
            (Some(_), Some(_)) => problems.push("oauth2: give provider or token_url, not both".to_owned()),
            (None, None) => problems.push("oauth2: give provider (google or microsoft) or token_url".to_owned()),
            _ => {}
        }
        if self.base_url.is_some() && self.provider.is_none() {
            problems.push("oauth2: base_url stands for a provider's server; give provider, or token_url alone".into());
        }
        if self.tenant.is_some() && self.provider != Some(Issuer::Microsoft) {
            problems.push("oauth2: tenant is of provider = \"microsoft\" only".into());
        }
        let url = self.token_url();
        match reqwest::Url::parse(&url) {
            Err(error) if !url.is_empty() => problems.push(format!("oauth2: {url:?} is not an address ({error})")),
            Ok(url) if url.scheme() != "https" && !is_this_machine(&url) => {
                problems.push(format!("oauth2: {url} is not https, and the grant would be told in clear"));
            }
            _ => {}
        }
        problems
    }
}

fn is_this_machine(url: &reqwest::Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn inbox() -> Vec<String> {
    vec!["INBOX".into()]
}

fn yes() -> bool {
    true
}

fn default_poll_interval_seconds() -> u64 {
    60
}

fn default_max_message_bytes() -> u32 {
    25 * 1024 * 1024
}

fn default_sweep_interval_seconds() -> u64 {
    3600
}

fn default_max_connections() -> usize {
    8
}

fn default_timeout_seconds() -> u64 {
    60
}

impl MailboxConfig {
    /// The source's name in items, coverage and checkpoints.
    pub fn source(&self) -> String {
        format!("email:{}", self.name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls == Tls::Implicit { 993 } else { 143 })
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_secs(self.poll_interval_seconds)
    }

    pub(crate) fn since_date(&self) -> Option<Result<jiff::civil::Date, jiff::Error>> {
        self.since.as_deref().map(str::parse)
    }
}

impl Config {
    pub(crate) fn brand(&self, id: &str) -> anyhow::Result<&Brand> {
        self.brands
            .iter()
            .find(|brand| brand.id == id)
            .ok_or_else(|| anyhow::anyhow!("brand {id:?} is not one of [[brands]]"))
    }
}

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "brands", "identity", "email"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let mailboxes = &self.email.mailboxes;
        let names = mailboxes.iter().map(|mailbox| (mailbox.name.as_str(), mailbox.brand.as_str()));
        for (index, (mailbox, common)) in mailboxes.iter().zip(account_problems(&self.brands, names)).enumerate() {
            let at = format!("email.mailboxes[{index}] ({:?})", mailbox.name);
            problems.extend(common.into_iter().chain(mailbox.problems()).map(|problem| format!("{at}: {problem}")));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl MailboxConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.name.is_empty() || self.name.chars().any(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
            problems.push("name must be letters, digits, '-', '_' or '.'".to_owned());
        }
        if self.host.trim().is_empty() {
            problems.push("host is empty".into());
        }
        match (&self.password, &self.oauth2) {
            (Some(_), Some(_)) => problems.push("give password or oauth2, not both".into()),
            (None, None) => problems.push("give password, password_file or oauth2".into()),
            _ => {}
        }
        problems.extend(self.oauth2.iter().flat_map(OAuth2::problems));
        if self.folders.is_empty() && self.sent_folders.is_empty() {
            problems.push("neither folders nor sent_folders names a folder".into());
        }
        let names: Vec<&String> = self.folders.iter().chain(&self.sent_folders).collect();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|other| other == name) {
                problems.push(format!("folder {name:?} is named twice"));
            }
            if name.is_empty() || name.chars().any(char::is_control) {
                problems.push(format!("folder {name:?} cannot be a folder's name"));
            }
        }
        if let Some(Err(error)) = self.since_date() {
            problems.push(format!(
                "since {:?} is not a day such as 2026-01-31 ({error})",
                self.since.as_deref().unwrap_or_default()
            ));
        }
        if let Some(file) = self.ca_file.as_ref().filter(|file| !file.is_file()) {
            problems.push(format!("ca_file {} is not a file", file.display()));
        }
        for (setting, value) in [
            ("poll_interval_seconds", self.poll_interval_seconds),
            ("sweep_interval_seconds", self.sweep_interval_seconds),
            ("timeout_seconds", self.timeout_seconds),
            ("max_message_bytes", u64::from(self.max_message_bytes)),
            ("max_connections", self.max_connections as u64),
        ] {
            if value == 0 {
                problems.push(format!("{setting} is 0: give at least 1"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mailboxes: &str) -> Config {
        let text = format!(
            "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n[identity]\nkey = \"k\"\n\
             [[brands]]\nid = \"acme\"\nname = \"Acme\"\n{mailboxes}"
        );
        toml::from_str(&text).unwrap()
    }

    const MAILBOX: &str = "[[email.mailboxes]]\nname = \"support\"\nbrand = \"acme\"\nhost = \"imap.acme.example\"\n\
                           username = \"support\"\npassword = \"s3cret\"\n";

    #[test]
    fn a_mailbox_needs_little_and_is_protected_by_default() {
        let config = config(MAILBOX);
        config.validate().unwrap();
        let mailbox = &config.email.mailboxes[0];
        assert_eq!(
            (mailbox.tls, mailbox.port(), mailbox.folders.as_slice()),
            (Tls::Implicit, 993, &["INBOX".to_owned()][..])
        );
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mistaken = MAILBOX
            .replace("\"acme\"", "\"other\"")
            .replace("password = \"s3cret\"", "since = \"soon\"\nsent_folders = [\"INBOX\"]\ntimeout_seconds = 0");
        let problems = config(&format!("{MAILBOX}{mistaken}")).validate().unwrap_err();
        let expected = [
            "names must differ",
            "not one of [[brands]]",
            "oauth2",
            "named twice",
            "not a day",
            "timeout_seconds is 0",
        ];
        assert!(expected.iter().all(|part| problems.iter().any(|problem| problem.contains(part))), "{problems:?}");
    }

    #[test]
    fn the_endpoints_of_google_and_microsoft_are_known_and_can_be_replaced() {
        let oauth2 = |settings: &str| {
            let text = format!("oauth2 = {{ {settings}, client_id = \"c\", refresh_token = \"r\" }}");
            let config = config(&MAILBOX.replace("password = \"s3cret\"", &text));
            (config.email.mailboxes[0].oauth2.clone().unwrap(), config.validate())
        };
        let (google, valid) = oauth2("provider = \"google\"");
        assert_eq!((google.token_url().as_str(), google.scope()), ("https://oauth2.googleapis.com/token", None));
        valid.unwrap();
        let (microsoft, _) = oauth2("provider = \"microsoft\", tenant = \"acme.example\"");
        assert_eq!(microsoft.token_url(), "https://login.microsoftonline.com/acme.example/oauth2/v2.0/token");
        assert!(microsoft.scope().unwrap().contains("offline_access"));
        let (replaced, valid) = oauth2("provider = \"microsoft\", base_url = \"http://127.0.0.1:1/\"");
        assert_eq!(replaced.token_url(), "http://127.0.0.1:1/organizations/oauth2/v2.0/token");
        valid.unwrap();
        let (_, clear) = oauth2("token_url = \"http://login.example/token\"");
        assert!(clear.unwrap_err()[0].contains("in clear"));
        let (_, neither) = oauth2("scope = \"x\"");
        assert!(neither.unwrap_err()[0].contains("provider"));
    }
}

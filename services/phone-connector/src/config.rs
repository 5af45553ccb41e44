//! `[phone]`: where to listen, what the providers call, and the accounts.

use crate::{
    provider::{self, Provider},
    sweep::Lister,
};
use outcry_domain::{Brand, brand::account_problems};
use outcry_kafka::KafkaConfig;
use outcry_runtime::{
    Secret, ServiceConfig,
    config::{Http, Identity},
};
use outcry_webhook::signature::VonageMethod;
use serde::Deserialize;
use std::path::PathBuf;

/// The sections that the phone connector reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Health and metrics.
    #[serde(default)]
    pub http: Http,
    /// Where items go.
    pub kafka: KafkaConfig,
    /// Who is "us".
    pub brands: Vec<Brand>,
    /// How customers are recognised.
    pub identity: Identity,
    /// The front door and its accounts.
    pub phone: Phone,
}

/// `[phone]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// Address on which webhooks arrive, over plain HTTP: TLS ends at the proxy in front. Port 0 takes a free one.
    #[serde(default = "listen")]
    pub listen: String,
    /// What the providers call, without `/hooks/…`, such as `https://outcry.example.org`. Some sign the URL, and
    /// what a proxy says of it can be forged.
    pub public_url: String,
    /// Where webhooks wait while Kafka is slow or down. On a disk that survives a restart.
    #[serde(default = "spool_dir")]
    pub spool_dir: PathBuf,
    /// Largest size of the spool. Beyond it senders get 503.
    #[serde(default = "spool_max_bytes")]
    pub spool_max_bytes: u64,
    /// How often the providers' own lists of calls are compared with their webhooks, in hours.
    #[serde(default = "sweep_every_hours")]
    pub sweep_every_hours: u64,
    /// One for each telephone account.
    #[serde(default)]
    pub accounts: Vec<Account>,
}

/// One `[[phone.accounts]]` entry: one path, `POST {public_url}/hooks/{name}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Last part of the path; `phone:{name}` is the source of its items. It never changes.
    pub name: String,
    /// The brand's id.
    pub brand: String,
    /// `standard`, `twilio`, `vonage`, `aircall`, `telnyx`, `zammad_cti` or `asterisk`.
    pub provider: String,
    /// The secret, token or public key that the provider shows; `secret_file` names a file that holds it.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// Several of them while one is being replaced: a list, or a text with one a line, as in a `secrets_file`.
    #[serde(default)]
    pub secrets: Option<Secrets>,
    /// Country whose numbers are written without a country code, such as `IT` (ISO 3166).
    #[serde(default)]
    pub region: Option<String>,
    /// `asterisk` only: a CDR or CEL file to follow, such as `/var/log/asterisk/cdr-csv/Master.csv`. Then the secret may be left out.
    #[serde(default)]
    pub cdr_file: Option<PathBuf>,
    /// `vonage` only: `md5hash`, `md5`, `sha1`, `sha256` or `sha512` for an account that signs by the parameter `sig`. Without it: by JWT.
    #[serde(default)]
    pub signature_method: Option<String>,
    /// `twilio`, `aircall`, `vonage`: the API's user (account SID, API id, API key). With it the provider's own list of calls is compared
    /// with its webhooks once a day.
    #[serde(default)]
    pub api_user: Option<String>,
    /// The API's password (auth token, API token, API secret). Twilio's is the account's secret if this is left out.
    #[serde(default)]
    pub api_password: Option<Secret>,
    /// Where the API is, if not at the provider's usual address.
    #[serde(default)]
    pub base_url: Option<String>,
    /// IANA time zone of times that come without one, as in CDR files.
    #[serde(default = "utc")]
    pub timezone: String,
}

/// One secret or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Secrets {
    /// One a line.
    Lines(Secret),
    /// A list.
    List(Vec<Secret>),
}

fn listen() -> String {
    "127.0.0.1:8081".into()
}

fn spool_dir() -> PathBuf {
    "data/spool/phone".into()
}

fn spool_max_bytes() -> u64 {
    1 << 30
}

fn sweep_every_hours() -> u64 {
    24
}

fn utc() -> String {
    "UTC".into()
}

impl Account {
    /// All active secrets, in the order given.
    pub fn active_secrets(&self) -> Vec<&str> {
        let listed = match &self.secrets {
            Some(Secrets::Lines(text)) => {
                text.expose().lines().map(str::trim).filter(|line| !line.is_empty()).collect()
            }
            Some(Secrets::List(list)) => list.iter().map(Secret::expose).collect(),
            None => Vec::new(),
        };
        self.secret.iter().map(Secret::expose).chain(listed).collect()
    }

    /// The region, which `Config::validate` has found to be one.
    pub fn region(&self) -> Option<phonenumber::country::Id> {
        self.region.as_deref()?.parse().ok()
    }

    /// The provider's verifier and parser, or what is wrong with the account.
    pub fn provider(&self) -> Result<Box<dyn Provider>, String> {
        provider::open(self).map_err(|problem| format!("phone account `{}`: {problem}", self.name))
    }
}

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "brands", "identity", "phone"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        match url::Url::parse(&self.phone.public_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() => {}
            _ => problems.push(format!(
                "phone.public_url `{}` is not a URL such as https://outcry.example.org",
                self.phone.public_url
            )),
        }
        let accounts = &self.phone.accounts;
        let names = accounts.iter().map(|account| (account.name.as_str(), account.brand.as_str()));
        for (account, common) in accounts.iter().zip(account_problems(&self.brands, names)) {
            problems.extend(common.into_iter().map(|problem| format!("phone account `{}`: {problem}", account.name)));
            problems.extend(account.problems());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Account {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let name = self.name.as_str();
        let spelling = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        if name.is_empty() || !name.chars().all(spelling) {
            problems
                .push(format!("phone account `{name}`: a name is letters, digits, - and _, for it is part of a URL"));
        }
        if let Some(region) = &self.region
            && region.parse::<phonenumber::country::Id>().is_err()
        {
            problems.push(format!("phone account `{name}`: region `{region}` is not a country code such as IT"));
        }
        if jiff::tz::TimeZone::get(&self.timezone).is_err() {
            problems.push(format!(
                "phone account `{name}`: timezone `{}` is not an IANA name such as Europe/Rome",
                self.timezone
            ));
        }
        if self.cdr_file.is_some() && self.provider != "asterisk" {
            problems.push(format!("phone account `{name}`: cdr_file is for the provider asterisk"));
        }
        if let Some(method) = &self.signature_method
            && (self.provider != "vonage" || VonageMethod::named(method).is_none())
        {
            let known: Vec<&str> = VonageMethod::NAMES.iter().map(|(name, _)| *name).collect();
            problems.push(format!(
                "phone account `{name}`: signature_method is for the provider vonage, and one of {}",
                known.join(", ")
            ));
        }
        problems.extend(self.provider().err());
        problems.extend(Lister::check(self).err().map(|error| format!("{error:#}")));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(account: serde_json::Value) -> Vec<String> {
        let config: Config = serde_json::from_value(json!({
            "kafka": { "bootstrap_servers": "127.0.0.1:1" },
            "brands": [{ "id": "acme", "name": "Acme" }],
            "identity": { "key": "k" },
            "phone": { "public_url": "https://hooks.example.org", "accounts": [account] },
        }))
        .unwrap();
        config.validate().err().unwrap_or_default()
    }

    const SECRET: &str = "whsec_b25lIHNlY3JldCBvZiAyNCBieXRlcw==";

    #[test]
    fn a_sound_account_has_no_problems() {
        assert!(
            problems(
                json!({ "name": "main", "brand": "acme", "provider": "standard", "secret": SECRET, "region": "IT" })
            )
            .is_empty()
        );
        let rotating = json!({ "name": "main", "brand": "acme", "provider": "twilio", "secrets": ["old", "new"] });
        assert!(problems(rotating).is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        let account = |key: &str, value: serde_json::Value| {
            let mut account = json!({ "name": "main", "brand": "acme", "provider": "standard", "secret": SECRET });
            account[key] = value;
            problems(account).join("; ")
        };
        assert!(account("brand", json!("acne")).contains("there is no brand `acne`"));
        assert!(account("secret", json!("whsec_")).contains("the secret is empty"));
        assert!(account("secret", json!("")).contains("the secret is empty"));
        assert!(account("secret", json!(null)).contains("no secret is given"));
        assert!(account("secret", json!("whsec_?")).contains("whsec_ followed by base64"));
        assert!(account("provider", json!("twillio")).contains("did you mean `twilio`"));
        assert!(account("name", json!("a/b")).contains("part of a URL"));
        assert!(account("region", json!("Italy")).contains("country code"));
        assert!(account("timezone", json!("Rome")).contains("IANA"));
        assert!(account("api_user", json!("u")).contains("standard has no list"));
        assert!(account("signature_method", json!("sha1")).contains("for the provider vonage"));
    }

    #[test]
    fn secrets_may_be_lines_of_a_file() {
        let account: Account = serde_json::from_value(
            json!({ "name": "main", "brand": "acme", "provider": "twilio", "secret": "a", "secrets": "b\n\n c \n" }),
        )
        .unwrap();
        assert_eq!(account.active_secrets(), ["a", "b", "c"]);
        assert!(!format!("{account:?}").contains('b'.to_string().repeat(2).as_str()));
    }
}

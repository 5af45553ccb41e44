//! Settings: `[notifier]`, beside the sections that services share.

use lettre::message::Mailbox;
use outcry_domain::Brand;
use outcry_kafka::KafkaConfig;
use outcry_runtime::{Secret, ServiceConfig, config::Http};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// What the notifier is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where health and metrics are served.
    #[serde(default)]
    pub http: Http,
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The brands on whose behalf it writes.
    #[serde(default)]
    pub brands: Vec<Brand>,
    /// What to send.
    #[serde(default)]
    pub notifier: Notifier,
}

/// `[notifier]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notifier {
    /// The server that takes our mail. Needed when anything is to be sent.
    pub smtp: Option<Smtp>,
    /// Receipts to customers.
    pub acknowledgements: Acknowledgements,
    /// Mails to people about critical items.
    pub alerts: Alerts,
    /// Regular summaries. Not built yet.
    pub digests: Digests,
}

/// `[notifier.smtp]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Host name, which the certificate must bear.
    pub host: String,
    /// Default: 465 for `implicit`, 587 for `starttls`, 25 for `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// Certificate authority of the server in PEM, if it is not a public one.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// User, where the server wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// Password, where the server wants one.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Sender: `care@acme.example` or `Acme Care <care@acme.example>`. Answers to a receipt go there.
    pub from: String,
    /// A mail that the server puts off (a greylist, a full mailbox) is tried again after this long, then after twice as long
    /// each time, up to an hour; the first tries follow each other within seconds.
    #[serde(default = "retry_after_seconds")]
    pub retry_after_seconds: u64,
    /// After this long it is given up, said loudly. A receipt that is older than `max_age_hours` by then ends earlier.
    #[serde(default = "give_up_after_hours")]
    pub give_up_after_hours: u64,
    /// Senders of brands that have one of their own, by brand id.
    #[serde(default)]
    pub from_by_brand: BTreeMap<String, String>,
}

fn retry_after_seconds() -> u64 {
    300
}

/// RFC 5321, section 4.5.4.1: at least four to five days.
fn give_up_after_hours() -> u64 {
    96
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// TLS from the first byte.
    #[default]
    Implicit,
    /// Plain at first, then STARTTLS; a server that does not offer it is refused.
    Starttls,
    /// No protection: for a server on this machine.
    None,
}

/// `[notifier.acknowledgements]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledgements {
    /// Off until switched on: nobody's customers get mail by accident.
    pub enabled: bool,
    /// A mail older than this is not acknowledged any more.
    pub max_age_hours: u64,
    /// Languages in which receipts may be written, of `en it pt de es fr ja zh`; the first serves all others.
    pub languages: Vec<String>,
    /// Receipts to one address in 24 hours, whatever happens: the end of every loop between machines.
    pub max_per_address_per_day: usize,
    /// When the customer will hear from us, where the brand has no target for the urgency.
    pub respond_within_hours: u32,
}

impl Default for Acknowledgements {
    fn default() -> Self {
        Self {
            enabled: false,
            max_age_hours: 48,
            languages: crate::template::LANGUAGES.iter().map(|&language| language.to_owned()).collect(),
            max_per_address_per_day: 3,
            respond_within_hours: 48,
        }
    }
}

impl Acknowledgements {
    /// See `max_age_hours`.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_hours.saturating_mul(3600))
    }
}

/// `[notifier.alerts]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Who is told of critical items. Empty: nobody.
    pub to: Vec<String>,
}

/// `[notifier.digests]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Digests {
    /// Who would get them. Not built yet, so it must be empty.
    pub to: Vec<String>,
}

impl ServiceConfig for Config {
    const SECTIONS: &'static [&'static str] = &["http", "kafka", "brands", "notifier"];

    fn http(&self) -> Http {
        self.http.clone()
    }

    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let notifier = &self.notifier;
        let sends = notifier.acknowledgements.enabled || !notifier.alerts.to.is_empty();
        match &notifier.smtp {
            None if sends => problems.push("notifier.smtp is missing: nothing can be sent without it".into()),
            None => {}
            Some(smtp) => self.validate_smtp(smtp, &mut problems),
        }
        if !notifier.digests.to.is_empty() {
            problems.push("notifier.digests.to: not built yet; leave it empty".into());
        }
        for address in &notifier.alerts.to {
            check_mailbox("notifier.alerts.to", address, &mut problems);
        }
        if notifier.acknowledgements.languages.is_empty() {
            problems.push("notifier.acknowledgements.languages is empty: name at least one".into());
        }
        for language in &notifier.acknowledgements.languages {
            if !crate::template::LANGUAGES.contains(&language.as_str()) {
                let known = crate::template::LANGUAGES.join(", ");
                problems
                    .push(format!("notifier.acknowledgements.languages: no text in {language:?}; there is {known}"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Config {
    fn validate_smtp(&self, smtp: &Smtp, problems: &mut Vec<String>) {
        if smtp.host.trim().is_empty() {
            problems.push("notifier.smtp.host is empty".into());
        }
        if smtp.username.is_some() != smtp.password.is_some() {
            problems.push("notifier.smtp: username and password go together".into());
        }
        if smtp.retry_after_seconds == 0 {
            problems.push("notifier.smtp.retry_after_seconds is 0: give at least 1".into());
        }
        check_mailbox("notifier.smtp.from", &smtp.from, problems);
        for (brand, from) in &smtp.from_by_brand {
            check_mailbox(&format!("notifier.smtp.from_by_brand.{brand}"), from, problems);
            if !self.brands.iter().any(|known| known.id == *brand) {
                problems.push(format!("notifier.smtp.from_by_brand: {brand:?} is not one of [[brands]]"));
            }
        }
    }
}

fn check_mailbox(key: &str, value: &str, problems: &mut Vec<String>) {
    if value.parse::<Mailbox>().is_err() {
        problems.push(format!("{key}: {value:?} is not a mail address"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(notifier: &str) -> Config {
        toml::from_str(&format!(
            "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n[[brands]]\nid = \"acme\"\nname = \"Acme\"\n{notifier}"
        ))
        .unwrap()
    }

    const SMTP: &str = "[notifier.smtp]\nhost = \"mail.example\"\nfrom = \"Acme Care <care@acme.example>\"\n";

    #[test]
    fn nothing_is_sent_unless_asked_for() {
        let quiet = config("");
        quiet.validate().unwrap();
        assert!(!quiet.notifier.acknowledgements.enabled);
    }

    #[test]
    fn sending_needs_a_server() {
        let problems = config("[notifier.acknowledgements]\nenabled = true\n").validate().unwrap_err();
        assert!(problems[0].contains("notifier.smtp is missing"), "{problems:?}");
        config(&format!("{SMTP}[notifier.acknowledgements]\nenabled = true\n")).validate().unwrap();
    }

    #[test]
    fn every_mistake_is_named() {
        let mistaken = config(
            "[notifier.smtp]\nhost = \"\"\nfrom = \"nobody\"\nusername = \"u\"\n\
             [notifier.smtp.from_by_brand]\nother = \"a@b.example\"\n\
             [notifier.acknowledgements]\nlanguages = [\"tlh\"]\n[notifier.alerts]\nto = [\"x\"]\n\
             [notifier.digests]\nto = [\"a@b.example\"]\n",
        );
        let problems = mistaken.validate().unwrap_err();
        for part in ["host is empty", "go together", "smtp.from:", "\"other\"", "\"tlh\"", "alerts.to", "not built yet"]
        {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
        }
    }
}

//! The brand, as configured: every channel needs to know who is "us".

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// One `[[brands]]` entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// Short, lasting id; it is part of every identity and never changes.
    pub id: String,
    /// The name that customers know.
    pub name: String,
    /// IANA time zone in which reports bucket days.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Languages its customers write, most frequent first (BCP 47).
    #[serde(default)]
    pub languages: Vec<String>,
    /// Mail domains that are ours: mail from them is outbound.
    #[serde(default)]
    pub own_domains: Vec<String>,
    /// Opening hours by weekday, such as `mon = ["09:00-12:30", "13:30-18:00"]`.
    #[serde(default)]
    pub opening_hours: std::collections::BTreeMap<String, Vec<String>>,
    /// Dates on which it is closed, `2026-12-25`.
    #[serde(default)]
    pub holidays: Vec<String>,
    /// Targets by urgency, in minutes.
    #[serde(default)]
    pub targets: std::collections::BTreeMap<String, Target>,
    /// Level-2 categories, by level-1 name.
    #[serde(default)]
    pub categories: std::collections::BTreeMap<String, Vec<String>>,
}

/// When the customer should have heard from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Minutes to the acknowledgement.
    pub acknowledge_minutes: u32,
    /// Minutes to the first response.
    pub respond_minutes: u32,
}

fn utc() -> String {
    "UTC".into()
}

impl Brand {
    /// `true` when the address belongs to one of the brand's domains, or to a subdomain of one.
    pub fn owns_address(&self, normalised_address: &str) -> bool {
        let Some((_, domain)) = normalised_address.rsplit_once('@') else {
            return false;
        };
        self.own_domains.iter().any(|own| {
            let own = own.trim_start_matches('@').to_lowercase();
            domain == own || domain.strip_suffix(own.as_str()).is_some_and(|rest| rest.ends_with('.'))
        })
    }
}

/// What is wrong with the accounts of a connector's configuration, given as (name, brand): a name that an earlier one has,
/// a brand that is not configured. One list for each account, in their order.
pub fn account_problems<'a>(
    brands: &[Brand],
    accounts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<Vec<String>> {
    let mut names = HashSet::new();
    let problems_of = |(name, brand): (&'a str, &'a str)| {
        let mut problems = Vec::new();
        if !names.insert(name) {
            problems.push("another account has this name; names must differ".to_owned());
        }
        if !brands.iter().any(|known| known.id == brand) {
            problems.push(format!("there is no brand `{brand}`: it is not one of [[brands]]"));
        }
        problems
    };
    accounts.into_iter().map(problems_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_name_of_its_own_and_a_known_brand() {
        let brands: Vec<Brand> = serde_json::from_str(r#"[{"id":"acme","name":"Acme"}]"#).unwrap();
        let problems = account_problems(&brands, [("a", "acme"), ("b", "acne"), ("a", "acme"), ("b", "")]);
        assert_eq!(problems.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 1, 2]);
        assert!(problems[1][0].contains("`acne`") && problems[2][0].contains("names must differ"), "{problems:?}");
    }

    #[test]
    fn a_subdomain_is_ours_and_a_lookalike_is_not() {
        let brand: Brand =
            serde_json::from_str(r#"{"id":"acme","name":"Acme","own_domains":["acme.example"]}"#).unwrap();
        assert!(brand.owns_address("help@acme.example"));
        assert!(brand.owns_address("help@mail.acme.example"));
        assert!(!brand.owns_address("help@notacme.example"));
        assert!(!brand.owns_address("acme.example"));
    }
}

//! Telephone numbers as people and PBXs write them, to E.164.
//!
//! A caller who withholds the number stays nobody: `anonymous` is not a customer, and two of them are not one.

use phonenumber::{Mode, country};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How a provider writes a number that has no `+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// As dialled in the account's region; international only with `+` or `00`.
    National,
    /// With country code and without `+`, unless it begins with 0.
    International,
}

/// Who is at one end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A number in E.164.
    Number(String),
    /// A SIP address, an extension, a short code: somebody, but not a number.
    Other(String),
    /// Withheld, or not given.
    Unknown,
}

/// Reads the numbers of one account, and remembers those read lately: reading one takes 10 µs, and our own come again and again.
pub struct Numbers {
    region: Option<country::Id>,
    writing: Writing,
    read: Mutex<HashMap<String, Party>>,
}

/// Numbers remembered; then it begins anew.
const REMEMBERED: usize = 8192;

impl Numbers {
    /// For an account's region and a provider's way of writing.
    pub fn new(region: Option<country::Id>, writing: Writing) -> Self {
        let numbers = Self { region, writing, read: Mutex::default() };
        // The first number loads the numbering plans of the world, 90 ms that no caller should wait for.
        numbers.read("+390212345678");
        numbers
    }

    /// [`Party::read`].
    pub fn read(&self, text: &str) -> Party {
        let lock = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(text) {
            return known.clone();
        }
        let party = Party::read(text, self.region, self.writing);
        if text.len() <= 64 {
            let mut read = lock();
            if read.len() >= REMEMBERED {
                read.clear();
            }
            read.insert(text.to_owned(), party.clone());
        }
        party
    }
}

/// What telephone systems write for a caller who withholds the number.
const WITHHELD: &[&str] = &[
    "anonymous",
    "withheld",
    "private",
    "restricted",
    "unknown",
    "unavailable",
    "blocked",
    "hidden",
    "none",
    "null",
    "unknown caller",
    "no caller id",
    "private number",
    "-",
    "asterisk",
    "0",
];
/// Twilio's numbers for RESTRICTED, BLOCKED, UNKNOWN, ANONYMOUS and UNAVAILABLE, as typed on a telephone's keys
/// (twilio.com support, "incoming calls from suspicious numbers").
const KEYED: &[&str] = &["7378742833", "2562533", "8656696", "266696687", "86282452253"];

impl Party {
    /// Reads what a provider sends.
    pub fn read(text: &str, region: Option<country::Id>, writing: Writing) -> Self {
        let text = text.trim();
        let bare = text.trim_matches(['<', '>', '"', '\'']).trim();
        let lower = bare.to_lowercase();
        let user = lower
            .strip_prefix("sip:")
            .or_else(|| lower.strip_prefix("sips:"))
            .map(|uri| uri.split(['@', ';', ':']).next().unwrap_or(uri));
        let dialled = user.or(lower.strip_prefix("tel:")).unwrap_or(&lower);
        if lower.is_empty() || WITHHELD.contains(&dialled) || KEYED.contains(&dialled.trim_start_matches('+')) {
            return Self::Unknown;
        }
        match e164(dialled, region, writing) {
            Some(number) => Self::Number(number),
            None => Self::Other(lower.chars().take(256).collect()),
        }
    }

    /// The number or address, if there is one.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Number(address) | Self::Other(address) => Some(address),
            Self::Unknown => None,
        }
    }
}

fn e164(text: &str, region: Option<country::Id>, writing: Writing) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    // E.164 has at most 15 digits; a trunk or exit code may stand before them. What has letters is a name.
    let readable = (4..=20).contains(&digits.len())
        && text.chars().all(|character| character.is_ascii_digit() || "+-./() \u{a0}".contains(character));
    if !readable {
        return None;
    }
    if text.starts_with('+') {
        return valid(&format!("+{digits}"), None);
    }
    let exit_code = digits.strip_prefix("00").and_then(|rest| valid(&format!("+{rest}"), None));
    let national = || region.and_then(|region| valid(&digits, Some(region)));
    let international = || if digits.starts_with('0') { None } else { valid(&format!("+{digits}"), None) };
    exit_code.or_else(|| match writing {
        Writing::National => national().or_else(international),
        Writing::International => international().or_else(national),
    })
}

fn valid(text: &str, region: Option<country::Id>) -> Option<String> {
    let number = phonenumber::parse(region, text).ok()?;
    number.is_valid().then(|| number.format().mode(Mode::E164).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Party {
        Party::Number(text.into())
    }

    #[test]
    fn one_number_however_it_is_written() {
        for (text, region) in [
            ("+39 02 1234 5678", None),
            ("0039 0212345678", None),
            ("02 12345678", Some(country::IT)),
            ("390212345678", None),
            ("<+390212345678>", None),
            ("sip:+390212345678@pbx.example;user=phone", None),
            ("tel:+39-02-1234-5678", None),
        ] {
            assert_eq!(Party::read(text, region, Writing::National), number("+390212345678"), "{text}");
        }
    }

    /// Edge case 43: `0221…` and `+49221…` are one customer.
    #[test]
    fn national_and_international_forms_of_a_german_number_are_one() {
        for text in ["02214710334", "492214710334", "+492214710334", "00492214710334"] {
            for writing in [Writing::International, Writing::National] {
                assert_eq!(
                    Party::read(text, Some(country::DE), writing),
                    number("+492214710334"),
                    "{text} {writing:?}"
                );
            }
        }
    }

    #[test]
    fn how_the_provider_writes_decides_what_is_ambiguous() {
        // Ten digits of Austin, Texas, or a Hungarian number.
        let text = "3612345678";
        assert_eq!(Party::read(text, Some(country::US), Writing::International), number("+3612345678"));
        assert!(
            matches!(Party::read("5125550142", Some(country::US), Writing::National), Party::Number(n) if n == "+15125550142")
        );
    }

    #[test]
    fn who_withholds_the_number_is_nobody() {
        for text in
            ["anonymous", "Anonymous", "", " ", "withheld", "sip:anonymous@anonymous.invalid", "+266696687", "Unknown"]
        {
            assert_eq!(Party::read(text, Some(country::IT), Writing::National), Party::Unknown, "{text:?}");
        }
    }

    #[test]
    fn extensions_and_addresses_are_somebody() {
        assert_eq!(Party::read("205", Some(country::DE), Writing::National), Party::Other("205".into()));
        assert_eq!(
            Party::read("sip:Ana@pbx.example", None, Writing::National),
            Party::Other("sip:ana@pbx.example".into())
        );
        assert_eq!(Party::read("client:agent7", None, Writing::National), Party::Other("client:agent7".into()));
    }

    #[test]
    fn rubbish_does_not_break_it() {
        for text in ["+", "++39", "0", "00", "٣٩٠٢", "9".repeat(10_000).as_str(), "\0", "+99999999999"] {
            let _ = Party::read(text, Some(country::IT), Writing::National);
        }
    }
}

//! Address fields (RFC 5322, 3.4), as they are written: names in any charset, groups, addresses in Unicode.

use super::header::{MAX_ENTRIES, decode_encoded_words, encoded_word, unicode};
use mail_parser::{Address, HeaderValue, parsers::MessageStream};
use outcry_domain::customer::normalise_email;

/// One person or machine in an address field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// Normalised, always with an `@`.
    pub address: String,
    pub name: Option<String>,
}

/// Stands for the n-th run of encoded words while the addresses around it are parsed: a decoded name may hold commas
/// and quotes, and must not be parsed again. The two characters are of a private-use area.
const PLACEHOLDER: [char; 2] = ['\u{F8F0}', '\u{F8F1}'];

/// The mailboxes of one address field, groups opened. What has no `@` is not an address.
pub(super) fn parse_mailboxes(value: &[u8], hint: Option<&str>) -> Vec<Mailbox> {
    let mut text = unicode(value, hint).into_owned();
    let mut names = Vec::new();
    if text.contains("=?") {
        text = hide_encoded_words(&text, &mut names);
    }
    text.push('\n');
    let HeaderValue::Address(addresses) = MessageStream::new(text.as_bytes()).parse_address() else {
        return Vec::new();
    };
    let list: Vec<_> = match addresses {
        Address::List(list) => list,
        Address::Group(groups) => groups.into_iter().flat_map(|group| group.addresses).collect(),
    };
    list.into_iter()
        .take(MAX_ENTRIES)
        .filter_map(|entry| {
            let name = entry.name.map(|name| reveal(&name, &names)).filter(|name| !name.is_empty());
            let written = entry.address.map(|address| reveal(&address, &names)).unwrap_or_default();
            match clean_address(&written) {
                Some(address) => Some(Mailbox { address, name }),
                // Some software encodes the address with the name, or forgets a bracket between them.
                None => {
                    let within = name.as_deref().and_then(address_within).or_else(|| address_within(&written));
                    within.map(|address| Mailbox { address, name: None })
                }
            }
        })
        .collect()
}

fn hide_encoded_words(text: &str, names: &mut Vec<String>) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("=?") {
        let (before, candidate) = rest.split_at(start);
        output.push_str(before);
        let Some(word) = encoded_word(candidate) else {
            output.push_str("=?");
            rest = candidate.get(2..).unwrap_or_default();
            continue;
        };
        let mut end = word.length;
        while let Some(next) = candidate.get(end..) {
            let blank = next.len() - next.trim_start().len();
            match next.get(blank..).and_then(encoded_word) {
                Some(word) => end += blank + word.length,
                None => break,
            }
        }
        output.push(PLACEHOLDER[0]);
        output.push_str(&names.len().to_string());
        output.push(PLACEHOLDER[1]);
        names.push(decode_encoded_words(candidate.get(..end).unwrap_or_default()));
        rest = candidate.get(end..).unwrap_or_default();
    }
    output.push_str(rest);
    output
}

fn reveal(text: &str, names: &[String]) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(PLACEHOLDER[0]) {
        output.push_str(before);
        let (number, after) = after.split_once(PLACEHOLDER[1]).unwrap_or((after, ""));
        if let Some(name) = number.parse::<usize>().ok().and_then(|number| names.get(number)) {
            output.push_str(name);
        }
        rest = after;
    }
    output.push_str(rest);
    output.trim().trim_matches('"').trim().to_owned()
}

/// An address in the form that is compared, if it is one: exactly a local part, an `@` and a domain, no white space.
pub(super) fn clean_address(written: &str) -> Option<String> {
    let written = written.trim().trim_matches(|c: char| matches!(c, '<' | '>' | '\'' | '"' | ',' | ';')).trim();
    let written = written.strip_prefix("mailto:").or_else(|| written.strip_prefix("MAILTO:")).unwrap_or(written);
    // A route (RFC 5322, 4.4) says by which hosts to go, not to whom.
    let written = match written.strip_prefix('@') {
        Some(route) => route.rsplit_once(':')?.1,
        None => written,
    };
    let (local, domain) = written.rsplit_once('@')?;
    let sane = !local.is_empty()
        && !domain.is_empty()
        && written.len() <= 320
        // Both brackets of a domain literal, or none.
        && domain.starts_with('[') == domain.ends_with(']')
        && !written.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'));
    sane.then(|| normalise_email(written))
}

/// The first thing within `text` that is an address.
pub(super) fn address_within(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"'))
        .map(|word| word.trim_start_matches("mailto:").trim_end_matches(['.', ':']))
        .filter(|word| word.contains('@'))
        .find_map(clean_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_opened_and_names_with_commas_stay_whole() {
        let found =
            parse_mailboxes("Team: =?utf-8?q?M=C3=BCller=2C_Ana?= <ana@example.org>, bo@example.org;".as_bytes(), None);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Mailbox { address: "ana@example.org".into(), name: Some("Müller, Ana".into()) });
        assert_eq!(found[1].address, "bo@example.org");
    }

    #[test]
    fn addresses_in_unicode_are_one_with_their_ascii_form() {
        let found = parse_mailboxes("Büro <Info@Bücher.example>".as_bytes(), None);
        assert_eq!(found[0].address, "info@xn--bcher-kva.example");
        assert_eq!(found[0].name.as_deref(), Some("Büro"));
        assert_eq!(parse_mailboxes("用户@例え.example".as_bytes(), None)[0].address, "用户@xn--r8jz45g.example");
    }

    #[test]
    fn an_address_that_is_none_gives_nobody() {
        for value in ["", "undisclosed-recipients:;", "Ana", "<>", "@", "a@", "\u{0}\u{1}"] {
            assert!(parse_mailboxes(value.as_bytes(), None).is_empty(), "{value:?}");
        }
    }
}

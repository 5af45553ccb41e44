//! Turns serde's words about a wrong key into ours, with the nearest known key.

use super::ConfigError;

/// The known key that looks most like `key`, if any looks like it at all.
pub(super) fn nearest(key: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(key.len()).div_ceil(2))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Serde says ``unknown field `hots`, expected one of `host`, `port` ``; the rest is passed on with its path.
pub(super) fn explain(path: &str, message: &str) -> ConfigError {
    let path = path.trim_start_matches('.');
    let Some(rest) = message.split_once("unknown field `").map(|(_, rest)| rest) else {
        let problem = message.split(" for key `").next().unwrap_or(message).to_owned();
        return ConfigError::Invalid { key: path.to_owned(), problem };
    };
    let mut quoted = rest.split('`');
    let key = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    let parent = match path.rsplit_once('.') {
        Some((parent, last)) if last == key => parent,
        _ if path == key || path == "?" => "",
        _ => path,
    };
    let full = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
    ConfigError::UnknownKey { key: full, nearest: nearest(key, &known) }
}

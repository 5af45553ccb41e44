//! Every file of `email_raw` through `outcry parse-email`, and what the test suites of flanker and nodemailer's mailparser say
//! of their messages. Facts alone are stated here, with the judgement where ours is another.

use crate::compare::Verdict;
use anyhow::{Context, Result, ensure};
use outcry_tests::binary;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What a repository's tests expect of one of its messages.
struct Expectation {
    /// Set and end of the file's name.
    file: (&'static str, &'static str),
    /// Where it stands in the item, as a JSON pointer; `/mail/attachments#` counts them, `/mail/attachments/*/name` joins.
    place: &'static str,
    expected: &'static str,
    /// Why ours differs, where it may.
    judgement: Option<&'static str>,
}

const fn same(set: &'static str, file: &'static str, place: &'static str, expected: &'static str) -> Expectation {
    Expectation { file: (set, file), place, expected, judgement: None }
}

const fn other(
    set: &'static str,
    file: &'static str,
    place: &'static str,
    expected: &'static str,
    judgement: &'static str,
) -> Expectation {
    Expectation { file: (set, file), place, expected, judgement: Some(judgement) }
}

/// From flanker's `scanner_test.py`, `bounce_tests.py`, `create_test.py` and mailparser's `simple-parser-test.js`.
const EXPECTATIONS: &[Expectation] = &[
    same("flanker", "bounce_zed.eml", "/mail/automatic", "bounce"),
    same("flanker", "bounce_zed.eml", "/mail/bounce_status", "5.1.1"),
    same("flanker", "bounce_mailbox-full.eml", "/mail/automatic", "bounce"),
    other(
        "flanker",
        "bounce_delayed.eml",
        "/mail/automatic",
        "bounce",
        "flanker calls every delivery report one; its Action tells a delay, which is no failure",
    ),
    same("flanker", "bounce_delayed.eml", "/subject", "Returned mail: Cannot send message for 5 days"),
    same("flanker", "bounce_delayed.eml", "/mail/attachments/*/name", "|Hello, how are you.eml"),
    same("flanker", "signed.eml", "/mail/automatic", ""),
    same("flanker", "disposition-notification.eml", "/mail/automatic", "read_receipt"),
    same("flanker", "no-ctype.eml", "/mail/from", "bob@marley.com"),
    same("flanker", "no-ctype.eml", "/subject", "Testing message parsing"),
    same("flanker", "no-ctype.eml", "/occurred_at", "2011-12-29T10:06:53.000Z"),
    same("flanker", "messages_enclosed.eml", "/mail/to/*", "bob@example.com"),
    same("flanker", "messages_enclosed.eml", "/mail/attachments/*/name", "thanks.eml"),
    same("flanker", "enclosed-broken.eml", "/mail/attachments/*/name", "thanks.eml"),
    other(
        "flanker",
        "enclosed-broken-body.eml",
        "/mail/attachments/*/name",
        "refused",
        "flanker refuses a message that ends within a part; a mailbox must not lose it",
    ),
    other(
        "flanker",
        "bounce_delayed-broken.eml",
        "/mail/automatic",
        "refused",
        "flanker refuses a report that ends within a part; what it says can be read",
    ),
    same("flanker", "missing-boundaries.eml", "/mail/attachments#", "0"),
    same("nodemailer", "fixtures_nodemailer.eml", "/subject", "Nodemailer is unicode friendly ✔ (1476358788189)"),
    same("nodemailer", "fixtures_nodemailer.eml", "/mail/to/*", "andris+123@kreata.ee|andris.reinman@gmail.com"),
    same("nodemailer", "fixtures_nodemailer.eml", "/mail/attachments#", "4"),
    other(
        "nodemailer",
        "large_text.eml",
        "/origin/truncated",
        "false",
        "mailparser keeps any text; ours is cut at a million characters and says so",
    ),
];

/// Parses every file with the binary, one process each.
pub fn compare(data: &Path) -> Result<Verdict> {
    let outcry = binary::find("outcry")?;
    let mut files = Vec::new();
    for set in fs::read_dir(data).with_context(|| format!("reading {}", data.display()))? {
        let set = set?.path();
        if set.is_dir() {
            files.extend(fs::read_dir(&set)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "{} holds no message", data.display());
    let mut verdict = Verdict::new("parsing");
    let mut items = BTreeMap::new();
    let (mut refused, mut crashed) = (0usize, Vec::new());
    for file in &files {
        let output =
            Command::new(&outcry).arg("parse-email").arg(file).output().context("running outcry parse-email")?;
        match outcome(&output) {
            Some(Some(item)) => drop(items.insert(file.clone(), item)),
            Some(None) => refused += 1,
            None => crashed.push(file.clone()),
        }
    }
    let counts = format!("{} files: {} items, {refused} refused with a reason", files.len(), items.len());
    verdict.check(crashed.is_empty(), format!("{counts}, {} crashed: {:?}", crashed.len(), crashed.first()));
    let panicked =
        items.values().filter(|item| item["mail"]["defects"].to_string().contains("this is the raw text")).count();
    verdict.check(panicked == 0, format!("{panicked} whose structure could not be read"));
    let replaced =
        items.values().filter(|item| item["text"].as_str().is_some_and(|text| text.contains('\u{FFFD}'))).count();
    verdict.note(format!("{replaced} with replacement characters in the text (files that are no mail among them)"));
    for expectation in EXPECTATIONS {
        judge(&mut verdict, &items, expectation);
    }
    Ok(verdict)
}

/// The item, `Some(None)` for a named reason, `None` for a crash.
fn outcome(output: &Output) -> Option<Option<Value>> {
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout).ok().map(Some),
        Some(1) if !output.stderr.is_empty() => Some(None),
        _ => None,
    }
}

fn judge(verdict: &mut Verdict, items: &BTreeMap<PathBuf, Value>, expectation: &Expectation) {
    let Expectation { file: (set, name), place, expected, judgement } = expectation;
    let is_it = |path: &Path| {
        path.ends_with(path.file_name().unwrap_or_default()) && {
            let text = path.to_string_lossy();
            text.ends_with(name) && text.contains(&format!("/{set}/"))
        }
    };
    let Some((_, item)) = items.iter().find(|(path, _)| is_it(path)) else {
        return verdict.check(false, format!("{set} {name}: not among the files"));
    };
    let found = at(item, place);
    match (found == *expected, judgement) {
        (true, _) => verdict.note(format!("{set} {name} {place}: {found:?}")),
        (false, Some(judgement)) => {
            verdict.note(format!("{set} {name} {place}: {found:?}, theirs {expected:?}: {judgement}"));
        }
        (false, None) => verdict.check(false, format!("{set} {name} {place}: {found:?}, theirs {expected:?}")),
    }
}

fn at(item: &Value, place: &str) -> String {
    if let Some(list) = place.strip_suffix('#') {
        return item.pointer(list).and_then(Value::as_array).map_or(0, Vec::len).to_string();
    }
    if let Some((list, rest)) = place.split_once("/*") {
        let values = item.pointer(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        return values.iter().map(|value| at(value, rest)).collect::<Vec<_>>().join("|");
    }
    match item.pointer(place) {
        None | Some(Value::Null) => {
            if place.ends_with("truncated") {
                "false".to_owned()
            } else {
                String::new()
            }
        }
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

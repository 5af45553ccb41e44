//! Apart: what a person wrote now, what they quote, how they sign.
//!
//! The rule when unsure is to keep the text: a complaint with a quotation too much can still be read, one with its
//! heart cut out cannot. So nothing is cut on a single weak sign, an inline answer stays, and a mail that would be left
//! empty is kept whole.

mod hints;
mod phrases;

use hints::Hints;

use phrases::{
    ATTRIBUTION_OPENERS, DISCLAIMERS, FORWARDED, FROM_LABELS, MOBILE_SIGNATURES, ORIGINAL, SENT_LABELS, SUBJECT_LABELS,
    TO_LABELS, WROTE,
};

/// A text in its parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// What the person wrote now.
    pub text: String,
    /// What was removed: quotations, signature, legal notice, in their order.
    pub removed: String,
    /// The text holds a forwarded mail, beginning at this line of the input.
    pub forward_at: Option<usize>,
}

/// A line that looks like mail from a machine rather than words is not read as an attribution.
const MAX_ATTRIBUTION_CHARS: usize = 400;

/// How many lines an attribution may be wrapped over.
const MAX_ATTRIBUTION_LINES: usize = 4;

/// A signature longer than this is content below a stray pair of dashes.
const MAX_SIGNATURE_LINES: usize = 15;

/// A legal notice of more lines than this is a document.
const MAX_NOTICE_LINES: usize = 100;

/// Texts of more lines than this (logs, lists) are split by `>` marks alone.
const MAX_LINES: usize = 20_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Written now.
    New,
    /// Quoted, introducing a quotation, signature or notice.
    Removed,
}

/// Splits a body text. Line ends may be of any kind.
pub(super) fn split(body: &str) -> Split {
    let lines: Vec<&str> = body.lines().collect();
    let mut marks = vec![Mark::New; lines.len()];
    mark_prefixed(&lines, &mut marks);
    let mut forward_at = None;
    let hints = Hints::of(body);
    if lines.len() <= MAX_LINES {
        match first_boundary(&lines, &marks, &hints) {
            Some(Boundary::Forward(line)) => forward_at = Some(line),
            Some(Boundary::Quote(line)) => marks[line..].fill(Mark::Removed),
            None => {}
        }
        if hints.attribution {
            mark_attributions(&lines, &mut marks);
        }
    }
    if lines.len() <= MAX_LINES {
        // A forwarded mail's own signature is part of what the customer shows us.
        if hints.signature {
            mark_signature(&lines, &mut marks, forward_at);
        }
        if hints.disclaimer {
            mark_disclaimer(&lines, &mut marks, forward_at);
        }
    }
    let written =
        lines.iter().zip(&marks).any(|(line, mark)| *mark == Mark::New && line.chars().any(char::is_alphanumeric));
    if !written {
        return Split { text: tidy(lines.iter().copied()), removed: String::new(), forward_at };
    }
    let of = |wanted: Mark| lines.iter().zip(&marks).filter(move |(_, mark)| **mark == wanted).map(|(line, _)| *line);
    Split { text: tidy(of(Mark::New)), removed: tidy(of(Mark::Removed)), forward_at }
}

/// Lines joined, without space around and without runs of empty lines.
fn tidy<'x>(lines: impl Iterator<Item = &'x str>) -> String {
    let mut output = String::new();
    let mut blank = false;
    for line in lines {
        let line = line.trim_end();
        if line.is_empty() {
            blank = true;
            continue;
        }
        if !output.is_empty() {
            output.push_str(if blank { "\n\n" } else { "\n" });
        }
        blank = false;
        output.push_str(line);
    }
    output
}

/// Lines that begin with `>`; not a shell prompt or an arrow inside a sentence.
fn mark_prefixed(lines: &[&str], marks: &mut [Mark]) {
    for (line, mark) in lines.iter().zip(marks.iter_mut()) {
        if is_prefixed(line) {
            *mark = Mark::Removed;
        }
    }
}

fn is_prefixed(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\u{A0}', '\t']);
    line.starts_with('>')
        || (line.starts_with('|')
            && line.starts_with("| ")
            && !line.trim_end().ends_with('|')
            && !line[1..].contains('|'))
}

enum Boundary {
    /// All from this line on is quoted.
    Quote(usize),
    /// From this line on stands a forwarded mail.
    Forward(usize),
}

/// The first place from which everything is quoted although the lines bear no mark, as Outlook and web mail do it.
fn first_boundary(lines: &[&str], marks: &[Mark], hints: &Hints) -> Option<Boundary> {
    let mut written_above = false;
    for (index, line) in lines.iter().enumerate() {
        if marks[index] == Mark::Removed {
            continue;
        }
        let trimmed = line.trim();
        if trimmed.is_empty() {
            continue;
        }
        if hints.separator
            && let Some(dashed) = dashed_phrase(trimmed)
        {
            if FORWARDED.iter().any(|phrase| dashed.starts_with(phrase)) {
                return Some(Boundary::Forward(index));
            }
            if ORIGINAL.iter().any(|phrase| dashed.starts_with(phrase)) {
                return Some(if written_above { Boundary::Quote(index) } else { Boundary::Forward(index) });
            }
        }
        if is_header_block(lines, index) {
            let start = rule_above(lines, index);
            return Some(if written_above { Boundary::Quote(start) } else { Boundary::Forward(index) });
        }
        let attribution = if hints.attribution { attribution_at(lines, index) } else { None };
        if let Some(length) = attribution {
            let below = &lines[index + length..];
            // Below an attribution without marks everything is quoted; with marks, answers may stand between them.
            let next = below.iter().find(|line| !line.trim().is_empty());
            let unmarked = next.is_some() && !below.iter().any(|line| is_prefixed(line));
            if written_above && unmarked {
                return Some(Boundary::Quote(index));
            }
        }
        written_above |= attribution.is_none() && trimmed.chars().any(char::is_alphanumeric);
    }
    None
}

/// The words between dashes, underscores or asterisks of a separator line, lower case.
fn dashed_phrase(line: &str) -> Option<String> {
    let ornament =
        |c: char| matches!(c, '-' | '_' | '*' | '=' | '—' | '–' | '─' | ' ' | ':' | '：' | '[' | ']' | '<' | '>');
    let inner = line.trim_matches(ornament);
    if inner.is_empty() || inner.chars().count() > 80 {
        return None;
    }
    let lower = inner.to_lowercase();
    let dashes = line
        .chars()
        .take_while(|c| matches!(c, '-' | '_' | '*' | '=' | '—' | '–' | '─' | ' '))
        .filter(|c| *c != ' ')
        .count();
    // "Begin forwarded message:" stands without dashes, and needs its colon.
    (dashes >= 2 || (line.ends_with([':', '：']) && (lower.contains(' ') || !lower.is_ascii()))).then_some(lower)
}

/// A block such as Outlook's: an author's label, and within the next lines at least two of date, recipient and subject.
fn is_header_block(lines: &[&str], index: usize) -> bool {
    let Some(value) = labelled(lines[index], FROM_LABELS) else {
        return false;
    };
    if value.is_empty() {
        return false;
    }
    let (mut sent, mut to, mut subject) = (false, false, false);
    let mut plain = 0;
    for line in lines.iter().skip(index + 1).filter(|line| !line.trim().is_empty()).take(9) {
        let before = (sent, to, subject);
        sent |= labelled(line, SENT_LABELS).is_some();
        to |= labelled(line, TO_LABELS).is_some();
        subject |= labelled(line, SUBJECT_LABELS).is_some();
        if before == (sent, to, subject) {
            plain += 1;
        }
        // A label may be wrapped over lines, but a paragraph in between ends the block.
        if plain > 3 {
            break;
        }
    }
    usize::from(sent) + usize::from(to) + usize::from(subject) >= 2
}

/// The value after a label of that list, in bold (`*From:*`) or not.
fn labelled<'x>(line: &'x str, labels: &[&str]) -> Option<&'x str> {
    let line = line.trim().trim_start_matches('*').trim_start();
    let position = line.find([':', '：'])?;
    let (label, value) = line.split_at(position);
    let label = label.trim().trim_end_matches('*').trim();
    if label.chars().count() > 20 {
        return None;
    }
    let lower = label.to_lowercase();
    labels.contains(&lower.as_str()).then(|| value.trim_start_matches([':', '：', '*']).trim())
}

/// Outlook draws a rule above its header block; it goes with it.
fn rule_above(lines: &[&str], index: usize) -> usize {
    let above = lines[..index].iter().rposition(|line| !line.trim().is_empty());
    match above {
        Some(above) if is_rule(lines[above]) => above,
        _ => index,
    }
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.chars().count() >= 8 && line.chars().all(|c| matches!(c, '_' | '-' | '─' | '—' | '='))
}

/// How many lines an attribution beginning at `index` takes; `None` if there is none.
fn attribution_at(lines: &[&str], index: usize) -> Option<usize> {
    let mut joined = String::new();
    for count in 1..=MAX_ATTRIBUTION_LINES {
        let line = lines.get(index + count - 1)?.trim();
        if line.is_empty() || is_prefixed(line) {
            return None;
        }
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line);
        if joined.len() > MAX_ATTRIBUTION_CHARS {
            return None;
        }
        if line.ends_with([':', '：']) || line.ends_with(":*") {
            return is_attribution(&joined, count > 1).then_some(count);
        }
        if count == 1 && !opens_attribution(line) {
            return None;
        }
    }
    None
}

fn opens_attribution(line: &str) -> bool {
    let lower = line.to_lowercase();
    ATTRIBUTION_OPENERS.iter().any(|opener| lower.starts_with(opener)) || line.contains('<') || line.contains("mailto:")
}

fn is_attribution(joined: &str, wrapped: bool) -> bool {
    let told = joined.chars().any(|c| c.is_ascii_digit() || ('０'..='９').contains(&c)) || joined.contains('@');
    if !told || (wrapped && !opens_attribution(joined)) {
        return false;
    }
    let lower = joined.to_lowercase();
    let words = lower.trim_end_matches(|c: char| matches!(c, ':' | '：' | '*') || c.is_whitespace());
    if WROTE.iter().any(|verb| ends_or_holds_verb(words, verb)) {
        return true;
    }
    // Gmail in Japanese, Korean and others: date, time, name, address, colon, and no verb at all.
    let dated = words.chars().filter(char::is_ascii_digit).count() >= 8;
    dated && words.ends_with('>') && words.contains('@')
}

/// The verb at the end ("… wrote:"), or anywhere after a date ("Am … schrieb Ana:").
fn ends_or_holds_verb(words: &str, verb: &str) -> bool {
    if words.ends_with(verb) {
        return true;
    }
    match words.find(verb) {
        // After the verb only a name and an address may follow.
        Some(position) => {
            let (before, after) = words.split_at(position);
            let dated = before.chars().filter(char::is_ascii_digit).count() >= 3;
            dated && after.chars().count() <= 120 && (!verb.is_ascii() || before.ends_with(' '))
        }
        None => false,
    }
}

/// The lines "On … wrote:" above quotations that bear marks.
fn mark_attributions(lines: &[&str], marks: &mut [Mark]) {
    for index in 0..lines.len() {
        if marks[index] == Mark::Removed {
            continue;
        }
        let Some(length) = attribution_at(lines, index) else {
            continue;
        };
        let below = (index + length..lines.len()).find(|line| !lines[*line].trim().is_empty());
        if below.is_none_or(|below| marks[below] == Mark::Removed) {
            marks[index..index + length].fill(Mark::Removed);
        }
    }
}

/// The signature: below "-- " (RFC 3676, 4.3), and what telephones add.
fn mark_signature(lines: &[&str], marks: &mut [Mark], forward_at: Option<usize>) {
    let end = forward_at.unwrap_or(lines.len());
    let mut index = 0;
    let mut above = false;
    while index < end {
        let line = lines[index];
        if marks[index] == Mark::New && matches!(line, "-- " | "--" | "—" | "--\u{A0}" | "-- \r") {
            let stop = (index + 1..end).find(|next| marks[*next] == Mark::Removed).unwrap_or(end);
            let length = lines[index..stop].iter().filter(|line| !line.trim().is_empty()).count();
            // Above nothing, or with a page below, it is a rule that someone drew.
            if above && length <= MAX_SIGNATURE_LINES {
                marks[index..stop].fill(Mark::Removed);
            }
            above = true;
            index = stop;
            continue;
        }
        if marks[index] == Mark::New && is_mobile_signature(line) && is_last_written(lines, marks, index, end) {
            marks[index] = Mark::Removed;
        }
        above |= marks[index] == Mark::New && !line.trim().is_empty();
        index += 1;
    }
}

fn is_mobile_signature(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['*', '<', '[', '(', '-', ' ']);
    if line.is_empty() || line.chars().count() > 100 {
        return false;
    }
    let lower = line.to_lowercase();
    MOBILE_SIGNATURES.iter().any(|phrase| lower.starts_with(phrase) || (!phrase.is_ascii() && lower.ends_with(phrase)))
}

/// Nothing but more of the same, or a link of the app, follows until the quotation.
fn is_last_written(lines: &[&str], marks: &[Mark], index: usize, end: usize) -> bool {
    (index + 1..end)
        .take(MAX_SIGNATURE_LINES)
        .take_while(|next| marks[*next] == Mark::New)
        .all(|next| lines[next].trim().is_empty() || is_mobile_signature(lines[next]))
}

/// A legal notice at the end of what was written.
fn mark_disclaimer(lines: &[&str], marks: &mut [Mark], forward_at: Option<usize>) {
    let end = forward_at.unwrap_or(lines.len());
    let mut written = 0usize;
    for index in 0..end {
        if marks[index] == Mark::Removed {
            continue;
        }
        let line = lines[index].trim().trim_start_matches(['*', '_', '"', '[', ' ']);
        let begins_paragraph = index == 0
            || lines[index - 1].trim().is_empty()
            || marks[index - 1] == Mark::Removed
            || is_rule(lines[index - 1]);
        if written > 0 && begins_paragraph && !line.is_empty() {
            let lower: String = line.chars().take(80).collect::<String>().to_lowercase();
            if !DISCLAIMERS.iter().any(|phrase| lower.starts_with(phrase)) {
                written += 1;
                continue;
            }
            let stop = (index..end).find(|next| marks[*next] == Mark::Removed).unwrap_or(end);
            let length: usize = lines[index..stop].iter().take(MAX_NOTICE_LINES).map(|line| line.chars().count()).sum();
            let fits = length <= 6000
                && stop - index < MAX_NOTICE_LINES
                && (length >= 60 || !lower.is_ascii() || lower.starts_with("please consider"));
            if fits && reads_as_notice(&lines[index..stop]) {
                marks[index..stop].fill(Mark::Removed);
                return;
            }
        }
        written += usize::from(!line.is_empty());
    }
}

/// A complaint may begin "This message is …" too; a notice speaks of confidence, recipients or printing.
fn reads_as_notice(lines: &[&str]) -> bool {
    const SIGNS: &[&str] = &[
        "confiden",
        "intended",
        "recipient",
        "privileged",
        "unauthori",
        "print",
        "vertraulich",
        "empfänger",
        "irrtümlich",
        "destinataire",
        "destinatari",
        "riservat",
        "reservad",
        "vertrouwelijk",
        "geadresseerde",
        "保密",
        "机密",
        "機密",
        "误发",
        "受信者",
        "誤って",
        "秘密",
    ];
    let text = lines.join(" ").to_lowercase();
    SIGNS.iter().filter(|sign| text.contains(*sign)).count() >= 1
}

/// The address after the author's label in a forwarded mail that begins at `line`, with the name.
pub(super) fn forwarded_author(body: &str, line: usize) -> Option<String> {
    body.lines().skip(line).take(12).find_map(|line| {
        let line = line.trim_start_matches(['>', ' ']);
        labelled(line, FROM_LABELS).filter(|value| value.contains('@')).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests;

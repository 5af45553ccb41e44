//! Apart: what a person wrote now, what they quote, how they sign.
//!
//! The rule when unsure is to keep the text: a complaint with a quotation too much can still be read, one with its
//! heart cut out cannot. So nothing is cut on a single weak sign, an inline answer stays, and a mail that would be left
//! empty is kept whole.

mod hints;
mod phrases;
mod signature;

use hints::Hints;

use phrases::{
    ANSWERS_BELOW, ATTRIBUTION_OPENERS, FORWARD_SUBJECTS, FORWARDED, FROM_LABELS, ORIGINAL, QUOTING, SAID, SENT_LABELS,
    SUBJECT_LABELS, TO_LABELS, WROTE,
};
use signature::{mark_disclaimer, mark_signature};

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

/// Attributions beyond this many are not looked below; a text of that many is a log.
const MAX_EXAMINED: usize = 100;

/// Texts of more lines than this (logs, lists) are split by `>` marks alone.
const MAX_LINES: usize = 20_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Written now.
    New,
    /// Quoted, introducing a quotation, signature or notice.
    Removed,
}

/// `true` if the subject says that the mail is a forward.
pub(super) fn is_forward_subject(subject: &str) -> bool {
    let lower = subject.trim_start().to_lowercase();
    FORWARD_SUBJECTS.iter().any(|prefix| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.trim_start().starts_with([':', '：']) || prefix.ends_with(']'))
    })
}

/// Splits a body text. Line ends may be of any kind. In a mail that forwards, what stands below a header is content.
pub(super) fn split(body: &str, forwards: bool) -> Split {
    let mut lines: Vec<&str> = body.lines().collect();
    let mut marks = vec![Mark::New; lines.len()];
    mark_prefixed(&lines, &mut marks);
    let mut forward_at = None;
    let hints = Hints::of(body);
    if lines.len() <= MAX_LINES {
        match first_boundary(&lines, &marks, &hints) {
            Some(Boundary::Forward(line)) => forward_at = Some(line),
            Some(Boundary::Quote { line, header: true }) if forwards => forward_at = Some(line),
            Some(Boundary::Quote { line, .. }) if !answers_below(&lines[..line]) => marks[line..].fill(Mark::Removed),
            _ => {}
        }
        if let Some(line) = forward_at {
            unquote_forward(&mut lines, &mut marks, line);
        }
        mark_broken_lines(&lines, &mut marks);
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

/// Apple Mail quotes what it forwards: the first level of marks goes, and what is quoted within stays marked.
fn unquote_forward(lines: &mut [&str], marks: &mut [Mark], from: usize) {
    let next = (from + 1..lines.len()).find(|line| !lines[*line].trim().is_empty());
    if !next.is_some_and(|line| is_prefixed(lines[line])) {
        return;
    }
    for line in from + 1..lines.len() {
        let bare = lines[line].trim_start().strip_prefix('>').map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
        lines[line] = bare.unwrap_or(lines[line]);
        marks[line] = if is_prefixed(lines[line]) { Mark::Removed } else { Mark::New };
    }
}

/// "See my answers below": then what looks quoted holds the answers.
fn answers_below(above: &[&str]) -> bool {
    let text = above.join(" ");
    let short = text.chars().count() <= 300;
    short && {
        let lower = text.to_lowercase();
        ANSWERS_BELOW.iter().any(|phrase| lower.contains(phrase))
    }
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
    /// All from this line on is quoted; a header of the quoted mail introduces it, or words do.
    Quote { line: usize, header: bool },
    /// From this line on stands a forwarded mail.
    Forward(usize),
}

/// The first place from which everything is quoted although the lines bear no mark, as Outlook and web mail do it.
fn first_boundary(lines: &[&str], marks: &[Mark], hints: &Hints) -> Option<Boundary> {
    let (mut written_above, mut examined) = (false, 0usize);
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
                return Some(quote_or_forward(written_above, index, index));
            }
        }
        if is_header_block(lines, index) {
            return Some(quote_or_forward(written_above, rule_above(lines, index), index));
        }
        let attribution = if hints.attribution { attribution_at(lines, index) } else { None };
        if let Some(found) = attribution
            && written_above
            && found.certain
            && examined < MAX_EXAMINED
            && is_unmarked_below(lines, index + found.lines)
        {
            return Some(Boundary::Quote { line: index, header: false });
        }
        examined += usize::from(attribution.is_some());
        written_above |= attribution.is_none() && trimmed.chars().any(char::is_alphanumeric);
    }
    None
}

fn quote_or_forward(written_above: bool, quote: usize, forward: usize) -> Boundary {
    if written_above { Boundary::Quote { line: quote, header: true } } else { Boundary::Forward(forward) }
}

/// Below an attribution without marks everything is quoted; with marks, answers may stand between them. Marks that have
/// an attribution of their own belong to what was quoted before.
fn is_unmarked_below(lines: &[&str], from: usize) -> bool {
    let mut filled = (from..lines.len()).filter(|line| !lines[*line].trim().is_empty());
    if filled.next().is_none_or(|first| is_prefixed(lines[first])) {
        return false;
    }
    let Some(marked) = (from..lines.len()).find(|line| is_prefixed(lines[*line])) else {
        return true;
    };
    let above = (from..marked).rev().find(|line| !lines[*line].trim().is_empty());
    above.is_some_and(|above| {
        (0..MAX_ATTRIBUTION_LINES).filter_map(|back| above.checked_sub(back)).any(|start| {
            start >= from && attribution_at(lines, start).is_some_and(|found| start + found.lines == above + 1)
        })
    })
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
/// Some software begins with another of them; then all have to follow one another.
fn is_header_block(lines: &[&str], index: usize) -> bool {
    let is_label = |line: &str| {
        [SENT_LABELS, TO_LABELS, SUBJECT_LABELS]
            .iter()
            .any(|labels| labelled(line, labels).is_some_and(|v| !v.is_empty()))
    };
    let (first, mut from) = match labelled(lines[index], FROM_LABELS) {
        Some("") => return false,
        Some(_) => (index + 1, true),
        None if is_label(lines[index]) => (index, false),
        None => return false,
    };
    let begins_with_author = from;
    let (mut sent, mut to, mut subject) = (false, false, false);
    let mut plain = 0;
    for line in lines.iter().skip(first).filter(|line| !line.trim().is_empty()).take(9) {
        let before = (from, sent, to, subject);
        from |= labelled(line, FROM_LABELS).is_some_and(|value| value.contains('@'));
        sent |= labelled(line, SENT_LABELS).is_some();
        to |= labelled(line, TO_LABELS).is_some();
        subject |= labelled(line, SUBJECT_LABELS).is_some();
        if before == (from, sent, to, subject) {
            plain += 1;
        }
        // A label may be wrapped over lines, but a paragraph in between ends the block.
        if plain > if begins_with_author { 3 } else { 0 } {
            break;
        }
    }
    let others = usize::from(sent) + usize::from(to) + usize::from(subject);
    from && others >= if begins_with_author { 2 } else { 3 }
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

/// A line such as "On …, Ana wrote:".
#[derive(Clone, Copy)]
struct Attribution {
    lines: usize,
    /// Certain enough to take all below for quoted although it bears no mark.
    certain: bool,
}

/// The attribution that begins at `index`, if one does.
fn attribution_at(lines: &[&str], index: usize) -> Option<Attribution> {
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
            return is_attribution(&joined, count > 1).map(|certain| Attribution { lines: count, certain });
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

/// `None` if the line is none; else whether it is a certain one.
fn is_attribution(joined: &str, wrapped: bool) -> Option<bool> {
    let addressed = joined.contains('@');
    let told = addressed || joined.chars().any(|c| c.is_ascii_digit() || ('０'..='９').contains(&c));
    if !told || (wrapped && !opens_attribution(joined)) {
        return None;
    }
    let lower = joined.to_lowercase();
    let words = lower.trim_end_matches(|c: char| matches!(c, ':' | '：' | '*') || c.is_whitespace());
    let found = WROTE.iter().filter_map(|verb| verb_of_attribution(words, verb)).max();
    if let Some(certain) = found {
        return Some(certain || addressed);
    }
    if addressed && words.ends_with('>') && QUOTING.iter().any(|start| words.starts_with(start)) {
        return Some(true);
    }
    // Gmail in Japanese, Korean and others: date, time, name, address, colon, and no verb at all.
    let dated = words.chars().filter(char::is_ascii_digit).count() >= 8;
    (dated && words.ends_with('>') && addressed).then_some(true)
}

/// The verb at the end ("… wrote:") or after a date ("Am … schrieb Ana:") is certain; before the date ("Ana schrieb am
/// …:") it could be a sentence of the complaint.
fn verb_of_attribution(words: &str, verb: &str) -> Option<bool> {
    if words.ends_with(verb) {
        return Some(true);
    }
    let (before, after) = words.split_at(words.find(verb)?);
    let whole_word = !verb.is_ascii() || before.ends_with(' ');
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
    if !whole_word || before.chars().count() > 160 || after.chars().count() > 120 {
        return None;
    }
    // After the verb only a name and an address may follow, or the date.
    if digits(before) >= 3 { Some(true) } else { (digits(after) >= 4).then_some(false) }
}

/// The lines "On … wrote:" above quotations that bear marks. Right above a mark, "Ana said:" is one too.
fn mark_attributions(lines: &[&str], marks: &mut [Mark]) {
    for index in 0..lines.len() {
        if marks[index] == Mark::Removed || lines[index].trim().is_empty() {
            continue;
        }
        let next = |from: usize| (from..lines.len()).find(|line| !lines[*line].trim().is_empty());
        if let Some(found) = attribution_at(lines, index) {
            let below = next(index + found.lines);
            if below.is_none_or(|below| marks[below] == Mark::Removed) {
                marks[index..index + found.lines].fill(Mark::Removed);
            }
        } else if says(lines[index]) && next(index + 1).is_some_and(|below| is_prefixed(lines[below])) {
            marks[index] = Mark::Removed;
        }
    }
}

/// A short line that ends with a verb of speaking and a colon.
fn says(line: &str) -> bool {
    let line = line.trim();
    let Some(words) = line.strip_suffix([':', '：']) else {
        return false;
    };
    let lower = words.trim_end().to_lowercase();
    line.chars().count() <= 100 && WROTE.iter().chain(SAID).any(|verb| lower.ends_with(verb))
}

/// The ends of quoted lines that were broken on the way and lost their mark: a word or two between two marked lines, below
/// one that is full.
fn mark_broken_lines(lines: &[&str], marks: &mut [Mark]) {
    for index in 1..lines.len().saturating_sub(1) {
        let (above, line) = (lines[index - 1].trim_end(), lines[index].trim());
        let broken = !line.is_empty()
            && line.chars().count() <= 20
            && !is_prefixed(line)
            && is_prefixed(above)
            && is_prefixed(lines[index + 1])
            && above.chars().count() >= 64
            && !above.ends_with(['.', '?', '!', ':']);
        if broken {
            marks[index] = Mark::Removed;
        }
    }
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

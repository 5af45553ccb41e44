//! What stands below a text without being of it: signatures, what telephones and virus scanners add, legal notices.

use super::{
    Mark, is_rule,
    phrases::{DISCLAIMERS, MOBILE_SIGNATURES},
};

/// A signature longer than this is content below a stray pair of dashes.
const MAX_SIGNATURE_LINES: usize = 15;

/// What a list or web mail adds is no longer than this.
const MAX_FOOTER_LINES: usize = 6;

/// A legal notice of more lines than this is a document.
const MAX_NOTICE_LINES: usize = 100;

/// The signature: below "-- " (RFC 3676, 4.3), and what telephones add.
pub fn mark_signature(lines: &[&str], marks: &mut [Mark], forward_at: Option<usize>) {
    let end = forward_at.unwrap_or(lines.len());
    mark_footer(lines, marks, end);
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

/// What web mail and lists add below a line of underscores: some lines with an address to go to, up to the end.
fn mark_footer(lines: &[&str], marks: &mut [Mark], end: usize) {
    let is_line = |line: &str| line.trim().len() >= 20 && line.trim().bytes().all(|byte| byte == b'_');
    let Some(start) = (0..end).rev().find(|index| marks[*index] == Mark::New && is_line(lines[*index])) else {
        return;
    };
    let written = |range: std::ops::Range<usize>| {
        range.filter(|index| marks[*index] == Mark::New && !lines[*index].trim().is_empty()).collect::<Vec<_>>()
    };
    let below = written(start + 1..end);
    let leads_elsewhere =
        below.iter().any(|index| ["http://", "https://", "www."].iter().any(|sign| lines[*index].contains(sign)));
    if below.len() <= MAX_FOOTER_LINES && leads_elsewhere && !written(0..start).is_empty() {
        marks[start..end].fill(Mark::Removed);
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
pub fn mark_disclaimer(lines: &[&str], marks: &mut [Mark], forward_at: Option<usize>) {
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

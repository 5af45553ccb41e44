//! Delivery reports (RFC 3464), read receipts (RFC 8098), feedback reports (RFC 5965), free-form bounces and invitations.

use super::{Body, Leaf};
use crate::parse::{
    address,
    header::Fields,
    mime::{self, Entity},
};

/// The mail that came back, as the report quotes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::parse) struct Returned {
    pub message_id: Option<String>,
    pub root: Option<String>,
    pub recipient: Option<String>,
    /// Enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: Option<String>,
}

/// How many lines of a free-form bounce are searched.
const MAX_LINES: usize = 2_000;

/// Notes what the part says if it is one of a report.
pub(super) fn note(entity: &Entity<'_>, body: &mut Body) {
    let content_type = &entity.content_type;
    let report = || content_type.parameter("report-type").unwrap_or_default().to_ascii_lowercase();
    match (content_type.kind.as_str(), content_type.subtype.as_str()) {
        ("multipart", "report") => match report().as_str() {
            "delivery-status" => body.reports.delivery = true,
            "disposition-notification" => body.reports.disposition = true,
            "feedback-report" => body.reports.feedback = true,
            _ => {}
        },
        ("message", "feedback-report") => body.reports.feedback = true,
        ("message", "disposition-notification") => {
            body.reports.disposition = true;
            let text = text_of(entity);
            let returned = body.returned.get_or_insert_default();
            let id = report_fields(&text, "original-message-id").next();
            returned.message_id = returned.message_id.take().or_else(|| id.map(bare_id));
        }
        ("message", "delivery-status" | "global-delivery-status") => {
            body.reports.delivery = true;
            note_delivery(&text_of(entity), body);
        }
        ("text" | "message", "rfc822-headers" | "global-headers") => {
            let mut header = Leaf::of(entity).bytes().into_owned();
            header.extend_from_slice(b"\r\n\r\n");
            let inner = mime::open(&header);
            note_returned(&Fields::of(inner.root.header, None), body);
        }
        _ => {}
    }
}

fn text_of(entity: &Entity<'_>) -> String {
    String::from_utf8_lossy(&Leaf::of(entity).bytes()).into_owned()
}

fn note_delivery(text: &str, body: &mut Body) {
    // One group of fields for each recipient; a failure says more than a success beside it.
    let actions: Vec<String> = report_fields(text, "action").map(|action| action.to_ascii_lowercase()).collect();
    let worst = actions.iter().find(|action| action.starts_with("failed")).or_else(|| actions.first());
    body.reports.action = worst.map(|action| action.split([' ', ';', '(']).next().unwrap_or_default().to_owned());
    let address = |name| {
        report_fields(text, name).find_map(|value| address::clean_address(value.rsplit(';').next().unwrap_or(value)))
    };
    let recipient = address("original-recipient").or_else(|| address("final-recipient"));
    let statuses = || report_fields(text, "status").filter_map(status_code);
    let status = statuses().find(|status| !status.starts_with('2')).or_else(|| statuses().next());
    let id = report_fields(text, "x-original-message-id").next().map(bare_id);
    let returned = body.returned.get_or_insert_default();
    returned.recipient = returned.recipient.take().or(recipient);
    returned.status = returned.status.take().or(status);
    returned.message_id = returned.message_id.take().or(id);
}

fn bare_id(text: &str) -> String {
    text.trim().trim_matches(['<', '>']).to_owned()
}

/// Values of a field in a report's groups of header-like lines.
fn report_fields<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| {
        let (field, value) = line.split_once(':')?;
        (field.trim().eq_ignore_ascii_case(name) && !value.trim().is_empty()).then(|| value.trim())
    })
}

/// Notes the mail that comes back with a report: its identity, and for whom it was.
pub(super) fn note_returned(fields: &Fields<'_>, body: &mut Body) {
    if !body.reports.delivery && !body.reports.disposition {
        body.candidate.get_or_insert_with(|| of(fields));
        return;
    }
    let found = of(fields);
    let returned = body.returned.get_or_insert_default();
    if returned.root.is_none() {
        returned.root = found.root;
        returned.message_id = found.message_id.or_else(|| returned.message_id.take());
    }
    returned.recipient = returned.recipient.take().or(found.recipient);
}

fn of(fields: &Fields<'_>) -> Returned {
    Returned {
        message_id: fields.ids("Message-ID").into_iter().next(),
        root: fields.ids("References").into_iter().next().or_else(|| fields.ids("In-Reply-To").into_iter().next()),
        recipient: fields.mailboxes("To").into_iter().next().map(|mailbox| mailbox.address),
        status: None,
    }
}

/// What a bounce without a readable report tells in its own words: the failed address, the status, the mail's header
/// below. `ours` are the addresses that the bounce itself was sent from and to.
pub(in crate::parse) fn complete_bounce(body: &mut Body, fields: &Fields<'_>, ours: &[&str]) {
    let candidate = body.candidate.take();
    let returned = body.returned.get_or_insert_default();
    if let Some(candidate) = candidate {
        returned.root = returned.root.take().or(candidate.root);
        returned.message_id = returned.message_id.take().or(candidate.message_id);
        returned.recipient = returned.recipient.take().or(candidate.recipient);
    }
    let failed = fields.mailboxes("X-Failed-Recipients").into_iter().next().map(|mailbox| mailbox.address);
    returned.recipient = returned.recipient.take().or(failed);
    for line in body.text.lines().take(MAX_LINES) {
        let line = line.trim_start_matches(['>', ' ', '\t', '|']);
        let value = |name: &str| {
            let (field, value) = line.split_once(':')?;
            field.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        };
        if returned.message_id.is_none() {
            returned.message_id = value("message-id").map(bare_id).filter(|id| id.contains('@'));
        }
        if returned.root.is_none() {
            let ids = value("references").or_else(|| value("in-reply-to"));
            returned.root =
                ids.and_then(|ids| ids.split_whitespace().next()).map(bare_id).filter(|id| id.contains('@'));
        }
        if returned.status.is_none() {
            returned.status = line.split([' ', '#', '(', ')', ',', '<', '>', '=', '-']).find_map(failure_code);
        }
        if returned.recipient.is_none() {
            let named = address::address_within(line)
                .filter(|_| value("message-id").is_none() && value("references").is_none());
            returned.recipient = named.filter(|address| !ours.contains(&address.as_str()));
        }
    }
}

/// `5.1.1` at the beginning of a value.
fn status_code(value: &str) -> Option<String> {
    let code = value.split_whitespace().next()?.trim_end_matches([';', ',']);
    let numbers: Vec<&str> = code.split('.').collect();
    let fits = numbers.len() == 3
        && matches!(numbers.first(), Some(&("2" | "4" | "5")))
        && numbers.iter().all(|number| (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
    fits.then(|| code.to_owned())
}

fn failure_code(word: &str) -> Option<String> {
    status_code(word.trim_end_matches([':', '.', ']', '['])).filter(|code| !code.starts_with('2'))
}

/// Notes what an iCalendar object asks for (RFC 5546), and says it in words.
pub(super) fn note_calendar(text: &str, method: Option<&str>, body: &mut Body) {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut values: [Option<String>; 5] = Default::default();
    const NAMES: [&str; 5] = ["SUMMARY", "DTSTART", "DTEND", "LOCATION", "DESCRIPTION"];
    let mut told = None;
    let mut inside = false;
    for line in unfolded.lines().take(MAX_LINES) {
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let name = field.split(';').next().unwrap_or_default().trim().to_ascii_uppercase();
        match name.as_str() {
            "METHOD" => told = Some(value.trim().to_owned()),
            "BEGIN" => inside |= value.trim().eq_ignore_ascii_case("VEVENT"),
            "END" if inside => break,
            _ if inside => {
                if let Some(slot) = NAMES.iter().position(|known| *known == name).and_then(|at| values.get_mut(at)) {
                    slot.get_or_insert_with(|| unescaped(value));
                }
            }
            _ => {}
        }
    }
    let method = method.map(str::to_owned).or(told).unwrap_or_else(|| "PUBLISH".into());
    body.calendar.get_or_insert_with(|| method.to_ascii_lowercase().chars().take(20).collect());
    let [summary, start, end, location, description] = values;
    let when = start.map(|start| match end {
        Some(end) => format!("{start} – {end}"),
        None => start,
    });
    let parts: Vec<String> = [summary, when, location, description].into_iter().flatten().collect();
    if body.invitation.is_empty() {
        body.invitation = parts.join("\n");
    }
}

fn unescaped(value: &str) -> String {
    let mut output = String::with_capacity(value.len());
    let mut characters = value.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => output.push('\n'),
                Some(other) => output.push(other),
                None => {}
            },
            other => output.push(other),
        }
    }
    output
}

//! The pages. Every text is escaped by `maud`; scripts and styles are files of our own, so that the policy can forbid all
//! others. Without scripts everything works but the feed's movement.

use crate::feed::Entry;
use maud::{DOCTYPE, Markup, html};
use outcry_warehouse::Table;
use serde_json::Value;

/// What the reports are asked for, as typed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Brand id.
    pub brand: String,
    /// First instant.
    pub from: String,
    /// First instant after.
    pub to: String,
}

/// A report, or why there is none.
pub struct Section {
    /// Heading.
    pub title: String,
    /// What it counts.
    pub description: String,
    /// Rows, or what went wrong in words.
    pub result: Result<Table, String>,
}

/// The first page.
pub fn overview(brands: &[String], filter: &Filter, feed: &[Entry], reports: &[Section], can_log_out: bool) -> Markup {
    page(html! {
        header {
            h1 { "Outcry" }
            @if can_log_out {
                form method="post" action="/logout" { button { "Log out" } }
            }
        }
        form.filter method="get" action="/" {
            label { "Brand"
                input name="brand" list="brands" value=(filter.brand) placeholder="all";
                datalist id="brands" { @for brand in brands { option value=(brand); } }
            }
            label { "From" input name="from" value=(filter.from) placeholder="2026-03-01"; }
            label { "To" input name="to" value=(filter.to) placeholder="2026-04-01"; }
            button { "Show" }
        }
        @for report in reports { (section(report)) }
        h2 { "Latest items " small.note id="feed-state" { "as of now; reload for more" } }
        div.scroll {
            table {
                thead { tr {
                    th { "When (UTC)" } th { "Brand" } th { "Channel" } th { "Direction" } th { "Kind" } th { "Category" }
                    th { "Urgency" } th { "Words" }
                } }
                tbody id="feed" { @for entry in feed { (feed_row(entry)) } }
            }
        }
        @if feed.is_empty() { p.note { "Nothing has come in since this console started." } }
    })
}

/// Asks for the token.
pub fn login(wrong: bool) -> Markup {
    page(html! {
        h1 { "Outcry" }
        @if wrong { p.problem role="alert" { "That is not the token." } }
        form.login method="post" action="/login" {
            label { "Token" input type="password" name="token" autocomplete="current-password" required autofocus; }
            p { button { "Log in" } }
        }
    })
}

/// Something went wrong, in words.
pub fn message(title: &str, words: &str) -> Markup {
    page(html! { h1 { (title) } p.problem { (words) } p { a href="/" { "Back" } } })
}

fn page(content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Outcry" }
                link rel="stylesheet" href="/assets/console.css";
                script src="/assets/console.js" defer {}
            }
            body { (content) }
        }
    }
}

fn feed_row(entry: &Entry) -> Markup {
    html! {
        tr class=(entry.urgency) {
            td { (entry.at) } td { (entry.brand) } td { (entry.channel) } td { (entry.direction) } td { (entry.kind) }
            td { (entry.category) } td { (entry.urgency) } td.words { (entry.text) }
        }
    }
}

fn section(report: &Section) -> Markup {
    html! {
        h2 { (report.title) }
        p.note { (report.description) }
        @match &report.result {
            Err(problem) => p.problem { (problem) },
            Ok(table) if table.rows.is_empty() => p.note { "Nothing in this time." },
            Ok(table) => div.scroll { (rows(table)) },
        }
    }
}

/// A page shows at most this many rows; the API gives all.
const MAX_ROWS: usize = 200;

fn rows(table: &Table) -> Markup {
    html! {
        table {
            thead { tr {
                @for column in &table.columns {
                    th class=[is_number(&column.kind).then_some("number")] { (heading(&column.name)) }
                }
            } }
            tbody { @for row in table.rows.iter().take(MAX_ROWS) { tr {
                @for (column, value) in table.columns.iter().zip(row) {
                    td class=[is_number(&column.kind).then_some("number")] { (shown(&column.name, value)) }
                }
            } } }
        }
        @if table.rows.len() > MAX_ROWS { p.note { "The first " (MAX_ROWS) " of " (table.rows.len()) " rows." } }
    }
}

fn is_number(kind: &str) -> bool {
    ["Int", "UInt", "Float", "Decimal"].iter().any(|number| kind.contains(number))
}

/// Times are shown in words, so their unit leaves the heading.
fn heading(column: &str) -> String {
    column.strip_suffix("_seconds").unwrap_or(column).replace('_', " ")
}

fn shown(column: &str, value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if column.ends_with("_seconds") => {
            number.as_f64().map_or_else(|| number.to_string(), duration)
        }
        other => other.to_string(),
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            at: "2026-03-01 09:00:00".into(),
            brand: "acme".into(),
            channel: "email",
            direction: "inbound",
            kind: "complaint",
            category: "delivery",
            urgency: "high",
            text: text.into(),
            case_id: String::new(),
        }
    }

    #[test]
    fn what_strangers_write_stays_text() {
        let filter = Filter { brand: "\"><script>alert(1)</script>".into(), ..Filter::default() };
        let problem = Section {
            title: "volume".into(),
            description: String::new(),
            result: Err("<img src=x onerror=alert(1)>".into()),
        };
        let page = overview(&[], &filter, &[entry("<script>alert(2)</script>")], &[problem], true).into_string();
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(2)&lt;/script&gt;"));
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
        for page in [overview(&[], &Filter::default(), &[], &[], true), login(true), message("a", "b")] {
            let page = page.into_string();
            assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("style="), "{page}");
            assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count());
        }
    }

    #[test]
    fn times_are_shown_in_words() {
        let of = |seconds: f64| shown("median_seconds", &serde_json::json!(seconds));
        assert_eq!([of(59.4), of(61.0), of(3725.0), of(90_000.0)], ["59 s", "1 min 1 s", "1 h 2 min", "1 d 1 h"]);
        assert_eq!(shown("median_seconds", &Value::Null), "–");
        assert_eq!(heading("median_seconds"), "median");
    }
}

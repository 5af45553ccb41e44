//! How mail programs show what a reply replies to, in the words of each language.

use super::{
    data::{self, Quote, SampleError},
    mime::split_mailbox,
};
use jiff::Zoned;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The message replied to.
pub struct Original<'a> {
    /// `Name <address>`.
    pub from: &'a str,
    /// Address it went to.
    pub to: &'a str,
    /// Subject line.
    pub subject: &'a str,
    /// Its text, with whatever it quotes itself.
    pub text: &'a str,
    /// When, where the reader is.
    pub date: &'a Zoned,
}

/// Words of every language.
pub struct Quoting(BTreeMap<String, Words>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    /// Outlook's prefix of a reply's subject.
    prefix: String,
    /// Monday first.
    weekdays: Vec<String>,
    months: Vec<String>,
    /// Gmail's introducing line.
    gmail: String,
    /// Outlook's words for From, Sent, To, Subject.
    outlook: [String; 4],
    /// What follows a header word: `:` or `：`.
    colon: String,
}

impl Quoting {
    /// The bundled words.
    pub fn load() -> Result<Self, SampleError> {
        data::parse("quoting.toml", include_str!("../../sample/quoting.toml")).map(Self)
    }

    /// The subject of a reply.
    pub fn subject(&self, language: &str, style: Quote, subject: &str) -> String {
        let prefixes = self.0.values().map(|words| words.prefix.as_str());
        if prefixes.chain(["Re: "]).any(|prefix| subject.starts_with(prefix)) {
            return subject.to_owned();
        }
        match self.0.get(language) {
            Some(words) if style == Quote::Outlook => format!("{}{subject}", words.prefix),
            _ => format!("Re: {subject}"),
        }
    }

    /// What stands below the reply's own text: empty, or beginning with an empty line.
    pub fn quoted(&self, language: &str, style: Quote, original: &Original) -> Result<String, SampleError> {
        let words = self.0.get(language).ok_or_else(|| SampleError::Reference(format!("quoting.{language}")))?;
        Ok(match style {
            Quote::None => String::new(),
            Quote::Gmail => gmail(words, original),
            Quote::Outlook => outlook(words, original),
        })
    }
}

fn gmail(words: &Words, original: &Original) -> String {
    let lines: Vec<String> = original
        .text
        .trim_end()
        .lines()
        .map(|line| if line.starts_with('>') { format!(">{line}") } else { format!("> {line}").trim_end().to_owned() })
        .collect();
    let (name, address) = split_mailbox(original.from);
    let intro = dated(words, &words.gmail, original.date).replace("{name}", name).replace("{address}", address);
    format!("\n\n{intro}\n\n{}", lines.join("\n"))
}

fn outlook(words: &Words, original: &Original) -> String {
    let [from, sent, to, subject] = &words.outlook;
    let colon = &words.colon;
    let date = original.date.strftime("%Y-%m-%d %H:%M");
    format!(
        "\n\n{from}{colon} {}\n{sent}{colon} {date}\n{to}{colon} {}\n{subject}{colon} {}\n\n{}",
        original.from,
        original.to,
        original.subject,
        original.text.trim_end()
    )
}

fn dated(words: &Words, template: &str, date: &Zoned) -> String {
    let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
    let month = usize::try_from(date.month() - 1).unwrap_or_default();
    template
        .replace("{weekday}", words.weekdays.get(weekday).map_or("", String::as_str))
        .replace("{month}", words.months.get(month).map_or("", String::as_str))
        .replace("{day}", &date.day().to_string())
        .replace("{year}", &date.year().to_string())
        .replace("{time}", &date.strftime("%H:%M").to_string())
}

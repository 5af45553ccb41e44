//! Dates as mail has them: RFC 5322 with its obsolete forms, `ctime`, ISO 8601, and what people's software makes of them.

use jiff::{
    civil::{Date, DateTime},
    tz::{Offset, TimeZone},
};
use outcry_domain::Timestamp;

/// Zones by name, in minutes east of Greenwich. What stands for several places is read as where most mail of that name
/// comes from; RFC 5322 takes the military letters for an unknown zone.
const ZONES: [(&str, i32); 38] = [
    ("ut", 0),
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("wet", 0),
    ("west", 60),
    ("bst", 60),
    ("cet", 60),
    ("met", 60),
    ("mez", 60),
    ("cest", 120),
    ("mest", 120),
    ("mesz", 120),
    ("eet", 120),
    ("eest", 180),
    ("sast", 120),
    ("msk", 180),
    ("msd", 240),
    ("ist", 330),
    ("sgt", 480),
    ("hkt", 480),
    ("awst", 480),
    ("jst", 540),
    ("kst", 540),
    ("aest", 600),
    ("aedt", 660),
    ("nzst", 720),
    ("nzdt", 780),
    ("ast", -240),
    ("adt", -180),
    ("est", -300),
    ("edt", -240),
    ("cst", -360),
    ("cdt", -300),
    ("mst", -420),
    ("mdt", -360),
    ("pst", -480),
    ("pdt", -420),
];

/// Beginnings of months' names in the languages whose software puts them into Date fields.
const MONTHS: [&[&str]; 12] = [
    &["jan", "jän", "ene", "gen", "янв"],
    &["feb", "fév", "fev", "фев"],
    &["mar", "mär", "mrt", "мар"],
    &["apr", "avr", "abr", "апр"],
    &["may", "mai", "mag", "mei", "maj", "май"],
    &["jun", "juin", "giu", "июн"],
    &["jul", "juil", "lug", "июл"],
    &["aug", "aoû", "aou", "ago", "авг"],
    &["sep", "set", "сен"],
    &["oct", "okt", "ott", "out", "окт"],
    &["nov", "ноя"],
    &["dec", "dez", "déc", "dic", "дек"],
];

#[derive(Default)]
struct Reading {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    afternoon: Option<bool>,
    zone_minutes: Option<i32>,
}

/// The instant a Date field names; `None` when it cannot be read.
pub(super) fn parse_date(value: &[u8]) -> Option<Timestamp> {
    let text = super::header::decode_text(value.get(..200).unwrap_or(value), None);
    let mut reading = Reading::default();
    let (plain, comment) = without_comments(&text);
    let separated = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"');
    for word in plain.split(separated).filter(|word| !word.is_empty()) {
        reading.word(word);
    }
    // The zone's name in a comment serves where there is no other.
    if reading.zone_minutes.is_none() {
        reading.zone_minutes = comment.split_whitespace().find_map(zone);
    }
    reading.instant()
}

fn without_comments(text: &str) -> (String, String) {
    let (mut plain, mut comment) = (String::new(), String::new());
    let mut depth = 0usize;
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            other if depth > 0 => comment.push(other),
            other => plain.push(other),
        }
    }
    (plain, comment)
}

impl Reading {
    fn word(&mut self, word: &str) {
        let lower = word.to_lowercase();
        if let Some((date, time)) = lower.split_once('t')
            && date.len() >= 8
            && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        {
            // ISO 8601, with its zone at the end of the time.
            self.word(date);
            let end = time.find(['z', '+', '-']).unwrap_or(time.len());
            let (clock, zone) = time.split_at(end);
            self.word(clock);
            self.word(zone);
        } else if lower.contains(':') && self.time.is_none() {
            self.clock(&lower);
        } else if self.time.is_some() && lower.starts_with(['+', '-']) {
            self.zone_minutes = offset(&lower).or(self.zone_minutes);
        } else if matches!(lower.as_str(), "am" | "a.m." | "pm" | "p.m.") {
            self.afternoon = Some(lower.starts_with('p'));
        } else if let Some(minutes) = self.time.and_then(|_| zone(word)) {
            self.zone_minutes = self.zone_minutes.or(Some(minutes));
        } else {
            self.date(&lower);
        }
    }

    fn clock(&mut self, word: &str) {
        let end = word.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(word.len());
        let (clock, rest) = word.split_at(end);
        let mut numbers =
            clock.split(':').map(|number| number.split('.').next().unwrap_or_default().parse::<i8>().ok());
        let (Some(Some(hour)), Some(Some(minute))) = (numbers.next(), numbers.next()) else {
            return;
        };
        self.time = Some((hour, minute, numbers.next().flatten().unwrap_or(0)));
        if !rest.is_empty() && !rest.contains(':') {
            self.word(rest);
        } else if rest.starts_with(['+', '-']) {
            self.zone_minutes = offset(rest);
        }
    }

    fn date(&mut self, word: &str) {
        let pieces: Vec<&str> = word.split(['-', '/', '.']).filter(|piece| !piece.is_empty()).collect();
        let numbers: Vec<i16> = pieces.iter().filter_map(|piece| piece.parse().ok()).collect();
        if let [first, second, third] = numbers[..]
            && pieces.len() == 3
        {
            // A year first is ISO; with dots the day is first; with slashes the month is, unless it cannot be.
            let (year, month, day) = match (first > 31, word.contains('/') && first <= 12) {
                (true, _) => (first, second, third),
                (false, true) => (third, first, second),
                (false, false) => (third, second, first),
            };
            (self.year, self.month, self.day) = (year_of(year), i8::try_from(month).ok(), i8::try_from(day).ok());
            return;
        }
        for piece in pieces {
            if let Ok(number) = piece.parse::<i16>() {
                if (1..=31).contains(&number) && self.day.is_none() && piece.len() <= 2 {
                    self.day = i8::try_from(number).ok();
                } else if self.year.is_none() {
                    self.year = year_of(number);
                }
            } else if self.month.is_none() {
                self.month = month_named(piece);
            }
        }
    }

    fn instant(&self) -> Option<Timestamp> {
        let (mut hour, minute, second) = self.time?;
        match self.afternoon {
            Some(true) if hour < 12 => hour += 12,
            Some(false) if hour == 12 => hour = 0,
            _ => {}
        }
        let date = Date::new(self.year.filter(|year| *year >= 1900)?, self.month?, self.day?).ok()?;
        // A leap second has no place of its own.
        let time = jiff::civil::Time::new(hour, minute, second.min(59), 0).ok()?;
        let offset = Offset::from_seconds(self.zone_minutes.unwrap_or(0) * 60).ok()?;
        let zoned = DateTime::from_parts(date, time).to_zoned(TimeZone::fixed(offset)).ok()?;
        Some(Timestamp::from_seconds(zoned.timestamp().as_second()))
    }
}

/// Two digits (RFC 5322, 4.3), or the years since 1900 that some software counts.
fn year_of(number: i16) -> Option<i16> {
    match number {
        0..=49 => Some(2000 + number),
        50..=199 => Some(1900 + number),
        1900..=2999 => Some(number),
        _ => None,
    }
}

fn month_named(word: &str) -> Option<i8> {
    let index = MONTHS.iter().position(|names| names.iter().any(|name| word.starts_with(name)))?;
    i8::try_from(index + 1).ok()
}

/// `+0100`, `-5:30`, `+-0500`.
fn offset(word: &str) -> Option<i32> {
    let sign = if word.contains('-') { -1 } else { 1 };
    let digits: String = word.chars().filter(char::is_ascii_digit).take(4).collect();
    let number: i32 = digits.parse().ok()?;
    let minutes = match digits.len() {
        1 | 2 => number * 60,
        _ => number / 100 * 60 + number % 100,
    };
    // Beyond a day, the zone is an error and the time still counts.
    Some(if minutes < 24 * 60 { sign * minutes } else { 0 })
}

/// A zone by its name, or a name with a number (`GMT+0200`).
fn zone(word: &str) -> Option<i32> {
    let lower = word.to_lowercase();
    let end = lower.find(['+', '-']).unwrap_or(lower.len());
    let (name, number) = lower.split_at(end);
    let base = match name.len() {
        1 if name.chars().all(|c| c.is_ascii_alphabetic()) => 0,
        _ => ZONES.iter().find(|(zone, _)| *zone == name)?.1,
    };
    Some(base + if number.is_empty() { 0 } else { offset(number)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_however_they_are_written() {
        let expected: Timestamp = "2002-01-07T10:00:00Z".parse().unwrap();
        for text in [
            "Mon, 7 Jan 2002 11:00:00 +0100",
            "7 Jan 2002 10:00 GMT",
            "Mon Jan  7 10:00:00 2002",
            "Mon, 07 Jan 02 10:00:00 +0000 (UTC)",
            "2002-01-07T10:00:00Z",
            "7-Jan-2002 10:00:00 +0000",
            "Mon, 7 Jan 102 10:00:00 GMT",
            "Mon, 7 Jan 0102 05:00:00 EST",
            "Mon, 7 Jan 2002 05:00 -0500 (EST)",
            "Mon, 7 Jan 2002 05:00:00 (EST)",
            "Mon Jan  7 11:00:00 CET 2002",
            "Mon Jan  7 11:00:00 2002 +0100",
            "Monday, January 7, 2002 10:00:00 AM GMT",
            "Mon, 7 Jan 2002 19:00:00 GMT+0900",
            "lun., 7 janv. 2002 11:00:00 +0100",
            "Mo, 7 Jän 2002 11:00:00 +0100",
            "Mon, 07 Jan 2002 10:00:00.000 -0000",
            "2002-01-07 12:00:00+02:00",
            "2002-01-07T10:00:00.123+00:00",
            "07.01.2002 10:00",
            "1/7/2002 10:00:00 AM",
            "Mon, 7 Jan 2002 00:30:00 -0930",
            "Mon, 7 Jan 2002 10:00:00 X",
            "Mon,7 Jan 2002 10:00:00+0000",
            "Mon, 7\tJan 2002\r\n 10:00:00 (comment) +0000",
        ] {
            assert_eq!(parse_date(text.as_bytes()), Some(expected), "{text}");
        }
        for text in
            ["", "yesterday", "32 Foo 2002 10:00:00", "Mon, 7 Jan 2002", "31 Feb 2002 10:00:00", "1 Jan 2002 25:00:00"]
        {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
    }
}

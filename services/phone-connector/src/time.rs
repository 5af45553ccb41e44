//! Times as providers write them.

use outcry_domain::Timestamp;

/// `Wed, 20 Apr 2022 23:45:25 +0000`, and what goes by that name: any weekday or none, months written out.
pub fn rfc2822(text: &str) -> Option<Timestamp> {
    let date = text.split_once(',').map_or(text, |(_, date)| date);
    let mut words = date.split_whitespace();
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (clock, zone) = (words.next()?, words.next().unwrap_or("+0000"));
    let month = month.get(..3)?;
    let mended = format!("{day:0>2} {month} {year} {clock} {zone}");
    jiff::fmt::rfc2822::parse(&mended).ok().map(|time| Timestamp::from(time.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_twilio_sends() {
        let at = |text: &str| rfc2822(text).map(|at| at.to_string());
        assert_eq!(at("Wed, 20 Apr 2022 23:45:25 +0000").as_deref(), Some("2022-04-20T23:45:25.000Z"));
        assert_eq!(at("Thurs, 20 July 1989 18:30:43 +0000").as_deref(), Some("1989-07-20T18:30:43.000Z"));
        assert_eq!(at("1 Jan 2026 00:00:00 GMT").as_deref(), Some("2026-01-01T00:00:00.000Z"));
        for text in ["", "yesterday", "Wed, 20 Apr", "20 é 2022 1:1:1", "99 Apr 2022 23:45:25 +0000"] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}

//! Instants, in UTC milliseconds.

use jiff::{SignedDuration, Timestamp as Instant};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr, time::Duration};

/// An instant in UTC, to the millisecond, between the years 1900 and 2299 (what a ClickHouse `DateTime64(3)` holds).
///
/// On the wire it is RFC 3339 text. A value outside the range is moved to its nearest end rather than refused: a mail
/// dated in the year 9999 is still a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

const EARLIEST_MS: i64 = -2_208_988_800_000;
const LATEST_MS: i64 = 10_413_791_999_999;

/// The text is not an RFC 3339 instant.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an instant: expected RFC 3339 such as 2026-03-01T09:30:00Z ({reason})")]
pub struct InvalidTimestamp {
    text: String,
    reason: String,
}

impl Timestamp {
    /// 1970-01-01, which stands for "the source gave no time".
    pub const UNKNOWN: Self = Self(0);

    /// From milliseconds since 1970, moved into range.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST_MS, LATEST_MS))
    }

    /// From seconds since 1970, moved into range.
    pub fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// `true` when the source gave no time.
    pub fn is_unknown(self) -> bool {
        self == Self::UNKNOWN
    }

    /// This instant, later by `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant, earlier by `duration`.
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How much later this is than `earlier`, in milliseconds; negative when it is not.
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl From<Instant> for Timestamp {
    fn from(instant: Instant) -> Self {
        Self::from_millis(instant.as_millisecond())
    }
}

impl From<Timestamp> for Instant {
    fn from(timestamp: Timestamp) -> Self {
        // Our range lies inside jiff's, so the addition cannot fail.
        Instant::UNIX_EPOCH.checked_add(SignedDuration::from_millis(timestamp.0)).unwrap_or(Instant::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", Instant::from(*self))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Some(fast) = parse_utc(text.as_bytes()) {
            return Ok(Self::from_millis(fast));
        }
        text.parse::<Instant>()
            .map(Self::from)
            .map_err(|error| InvalidTimestamp { text: text.chars().take(64).collect(), reason: error.to_string() })
    }
}

/// The form we write, `2026-03-01T09:30:00[.123]Z`, without the generality of a full parser: it is read four times an item.
fn parse_utc(text: &[u8]) -> Option<i64> {
    let millis = match text.len() {
        20 => 0,
        24 if text[19] == b'.' => number(&text[20..23])?,
        _ => return None,
    };
    let punctuated = text[4] == b'-' && text[7] == b'-' && text[10] == b'T' && text[13] == b':' && text[16] == b':';
    if !punctuated || text[text.len() - 1] != b'Z' {
        return None;
    }
    let (year, month, day) = (number(&text[0..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    let in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > in_month || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, with the year beginning in March (H. Hinnant, "chrono-compatible
    // low-level date algorithms").
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 instant")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for millis in [0, 1, 1_772_357_400_123, -1, EARLIEST_MS, LATEST_MS, 951_782_400_000] {
            let timestamp = Timestamp::from_millis(millis);
            assert_eq!(timestamp.to_string().parse::<Timestamp>().unwrap(), timestamp, "{timestamp}");
        }
    }

    #[test]
    fn the_fast_parser_agrees_with_the_full_one() {
        for day in 0..150_000i64 {
            let text = Timestamp::from_seconds(day * 86_400 - 2_000_000_000 + day % 86_400).to_string();
            let full: Instant = text.parse().unwrap();
            assert_eq!(parse_utc(text.as_bytes()), Some(full.as_millisecond()), "{text}");
        }
        assert_eq!(parse_utc(b"2026-02-30T00:00:00Z"), None);
        assert_eq!(parse_utc(b"2026-13-01T00:00:00Z"), None);
        assert!("2026-02-30T00:00:00Z".parse::<Timestamp>().is_err());
    }

    #[test]
    fn offsets_are_converted_and_far_dates_moved_into_range() {
        assert_eq!("2026-03-01T10:30:00+01:00".parse::<Timestamp>().unwrap().to_string(), "2026-03-01T09:30:00.000Z");
        assert_eq!("9999-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_millis(), LATEST_MS);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}

//! Sums of money: a number with a currency beside it.
//!
//! Separators are read as people of all countries write them: the last of two different separators is the decimal one,
//! a single one followed by exactly three digits parts thousands, and so does one that comes twice.

use outcry_domain::classification::Amount;

/// A sum and the characters it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FoundAmount {
    pub amount: Amount,
    pub start: u32,
    pub end: u32,
}

/// At most that many sums of one text are kept.
const MAX_AMOUNTS: usize = 8;
/// Longer rows of digits are numbers of accounts, not sums.
const MAX_DIGITS: usize = 12;

/// Signs that stand before or after a number.
const SIGNS: &[(&str, &str)] = &[
    ("US$", "USD"),
    ("CA$", "CAD"),
    ("C$", "CAD"),
    ("AU$", "AUD"),
    ("A$", "AUD"),
    ("NZ$", "NZD"),
    ("HK$", "HKD"),
    ("R$", "BRL"),
    ("$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("￡", "GBP"),
    ("₹", "INR"),
    ("₽", "RUB"),
    ("₺", "TRY"),
    ("₩", "KRW"),
    ("¥", ""),
    ("￥", ""),
];

/// Words and codes, in lower case, that stand beside a number.
const WORDS: &[(&str, &str)] = &[
    ("euros", "EUR"),
    ("euro", "EUR"),
    ("eur", "EUR"),
    ("ευρώ", "EUR"),
    ("dollars", "USD"),
    ("dollar", "USD"),
    ("dollari", "USD"),
    ("dólares", "USD"),
    ("bucks", "USD"),
    ("usd", "USD"),
    ("pounds", "GBP"),
    ("quid", "GBP"),
    ("gbp", "GBP"),
    ("chf", "CHF"),
    ("franken", "CHF"),
    ("cad", "CAD"),
    ("aud", "AUD"),
    ("reais", "BRL"),
    ("brl", "BRL"),
    ("pln", "PLN"),
    ("zł", "PLN"),
    ("zl", "PLN"),
    ("rs", "INR"),
    ("inr", "INR"),
    ("rupees", "INR"),
    ("tl", "TRY"),
    ("lira", "TRY"),
    ("try", "TRY"),
    ("руб", "RUB"),
    ("рублей", "RUB"),
    ("rub", "RUB"),
    ("jpy", "JPY"),
    ("yen", "JPY"),
    ("円", "JPY"),
    ("cny", "CNY"),
    ("rmb", "CNY"),
    ("yuan", "CNY"),
    ("人民币", "CNY"),
    ("元", "CNY"),
    ("块", "CNY"),
    ("ريال", "SAR"),
    ("sar", "SAR"),
    ("aed", "AED"),
    ("درهم", "AED"),
    ("रुपये", "INR"),
];

/// Finds sums of money. `language` decides what `¥` means.
pub(crate) fn find(text: &str, language: &str, out: &mut Vec<FoundAmount>) {
    let mut characters: u32 = 0;
    let mut counted = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(is_digit)) {
        let start = at + found;
        let number = read_number(&text[start..]);
        at = start + number.bytes;
        let attached = bytes[..start].last().is_some_and(u8::is_ascii_alphabetic);
        if let Some((currency, from, to)) = currency_beside(text, start, at, attached) {
            if let Some(value) = number.value {
                characters += count(&text[counted..from]);
                counted = from;
                let end = characters + count(&text[from..to.max(at)]);
                let currency = resolve(currency, language);
                out.push(FoundAmount { amount: Amount { value, currency }, start: characters, end });
                if out.len() >= MAX_AMOUNTS {
                    return;
                }
            }
            at = at.max(to);
        }
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || ('０'..='９').contains(&c)
}

fn count(text: &str) -> u32 {
    text.chars().count() as u32
}

fn resolve(currency: &str, language: &str) -> String {
    match (currency, language) {
        ("", "zh") => "CNY",
        ("", _) => "JPY",
        (known, _) => known,
    }
    .to_owned()
}

struct Number {
    bytes: usize,
    value: Option<String>,
}

/// Reads digits with separators, and a following 万 or 千, from the start of `rest`.
fn read_number(rest: &str) -> Number {
    let mut groups: Vec<(Option<char>, usize)> = Vec::new();
    let mut digits = String::new();
    let mut used = 0;
    let mut pending = None;
    let mut group = 0;
    let mut all = 0;
    for (at, c) in rest.char_indices() {
        if is_digit(c) {
            if let Some((separator, _)) = pending.take() {
                groups.push((Some(separator), group));
                group = 0;
            }
            group += 1;
            all += 1;
            if digits.len() <= MAX_DIGITS {
                digits.push(char::from_digit(c.to_digit(10).unwrap_or(c as u32 % 16), 10).unwrap_or('0'));
            }
            used = at + c.len_utf8();
        } else if pending.is_none() && matches!(c, '.' | ',' | '\'' | '’' | '．' | '，' | ' ' | '\u{a0}' | '\u{202f}')
        {
            // A space parts thousands only before a full group of three.
            let spaced = matches!(c, ' ' | '\u{a0}' | '\u{202f}');
            let next = rest[at + c.len_utf8()..].chars();
            if spaced && (group > 3 || next.take_while(|c| is_digit(*c)).count() != 3) {
                break;
            }
            pending = Some((if spaced { ' ' } else { plain(c) }, at));
        } else {
            break;
        }
    }
    groups.push((None, group));
    let value = (all <= MAX_DIGITS).then(|| decimal(&digits, &groups));
    let (value, used) = multiplied(value, rest, used);
    Number { bytes: used, value }
}

fn plain(c: char) -> char {
    match c {
        '．' => '.',
        '，' => ',',
        '’' => '\'',
        other => other,
    }
}

/// The decimal in text: `groups` holds each group's length and the separator after it.
fn decimal(digits: &str, groups: &[(Option<char>, usize)]) -> String {
    let separators: Vec<char> = groups.iter().filter_map(|(separator, _)| *separator).collect();
    let last_length = groups.last().map_or(0, |(_, length)| *length);
    let fraction = match separators.last() {
        None | Some(' ' | '\'') => 0,
        Some(last) => {
            let repeated = separators.iter().filter(|separator| *separator == last).count() > 1;
            let only = separators.len() == 1;
            if repeated || (only && last_length == 3) { 0 } else { last_length }
        }
    };
    let (whole, part) = digits.split_at(digits.len() - fraction.min(digits.len()));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

fn multiplied(value: Option<String>, rest: &str, used: usize) -> (Option<String>, usize) {
    let zeros = match rest[used..].chars().next() {
        Some('万' | '萬') => 4,
        Some('千') => 3,
        Some('億' | '亿') => 8,
        _ => return (value, used),
    };
    let length = rest[used..].chars().next().map_or(0, char::len_utf8);
    let value = value.map(|value| {
        let (whole, part) = value.split_once('.').unwrap_or((&value, ""));
        let mut shifted = format!("{whole}{part:0<zeros$}");
        shifted.truncate(whole.len() + zeros);
        let shifted = shifted.trim_start_matches('0');
        if shifted.is_empty() { "0".to_owned() } else { shifted.to_owned() }
    });
    (value, used + length)
}

/// The currency that stands before or after a number, and the bytes of all of it.
fn currency_beside(text: &str, start: usize, end: usize, attached: bool) -> Option<(&'static str, usize, usize)> {
    let before = text[..start].trim_end_matches(['.', ' ', '\u{a0}']);
    if start - before.len() <= 2 {
        for (sign, code) in SIGNS {
            if before.ends_with(sign) {
                return Some((code, before.len() - sign.len(), end));
            }
        }
        if let Some((code, length)) = word_at_end(before) {
            return Some((code, before.len() - length, end));
        }
    }
    if attached {
        return None;
    }
    let after = &text[end..];
    let gap = after.len() - after.trim_start_matches([' ', '\u{a0}', '-']).len();
    let after = &after[gap..];
    if gap > 3 {
        return None;
    }
    for (sign, code) in SIGNS {
        if after.starts_with(sign) {
            return Some((code, start, end + gap + sign.len()));
        }
    }
    let (code, length) = word_at_start(after)?;
    Some((code, start, end + gap + length))
}

fn word_at_end(before: &str) -> Option<(&'static str, usize)> {
    WORDS.iter().filter(|(word, _)| word.is_ascii() && word.len() <= 4).find_map(|(word, code)| {
        // Bytes, and not the lower case of the text: that of some letters has another length.
        let from = before.len().checked_sub(word.len())?;
        let whole = before.as_bytes()[from..].eq_ignore_ascii_case(word.as_bytes())
            && !before[..from].chars().next_back().is_some_and(char::is_alphanumeric);
        whole.then_some((*code, word.len()))
    })
}

fn word_at_start(after: &str) -> Option<(&'static str, usize)> {
    WORDS.iter().find_map(|(word, code)| {
        let mut rest = after.chars();
        for expected in word.chars() {
            let c = rest.next()?;
            if c != expected && c.to_lowercase().next() != Some(expected) {
                return None;
            }
        }
        let rest = rest.as_str();
        let unspaced = word.chars().next().is_some_and(crate::letters::is_unspaced);
        let whole = unspaced || !rest.chars().next().is_some_and(char::is_alphanumeric);
        whole.then_some((*code, after.len() - rest.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(text: &str, language: &str) -> Vec<String> {
        let mut out = Vec::new();
        find(text, language, &mut out);
        out.iter().map(|found| format!("{} {}", found.amount.value, found.amount.currency)).collect()
    }

    #[test]
    fn sums_are_read_as_people_write_them() {
        for (text, expected) in [
            ("it cost € 12,50 in all", "12.50 EUR"),
            ("$1,200.00", "1200.00 USD"),
            ("1.200,50 EUR", "1200.50 EUR"),
            ("£5", "5 GBP"),
            ("ho speso 1.200 euro", "1200 EUR"),
            ("R$ 1.234,56 cobrados", "1234.56 BRL"),
            ("1 200,50 € de trop", "1200.50 EUR"),
            ("CHF 1'200.50", "1200.50 CHF"),
            ("12€", "12 EUR"),
            ("Rs. 83 because", "83 INR"),
            ("₹1,00,000", "100000 INR"),
            ("3万円", "30000 JPY"),
            ("１２００円です", "1200 JPY"),
            ("退款200元", "200 CNY"),
            ("0,99 €", "0.99 EUR"),
            ("20 dollars", "20 USD"),
            ("EUR 40", "40 EUR"),
        ] {
            assert_eq!(sums(text, "en"), [expected], "{text}");
        }
        assert_eq!(sums("¥300", "zh"), ["300 CNY"]);
        assert_eq!(sums("¥300", "ja"), ["300 JPY"]);
        assert_eq!(sums("between $10 and $20", "en"), ["10 USD", "20 USD"]);
    }

    #[test]
    fn numbers_without_a_currency_are_not_sums() {
        for text in [
            "order 12345",
            "on 12.03.2026",
            "3 weeks",
            "B12",
            "",
            "123456789012345678901234567890 euro",
            "5 eurocents?",
        ] {
            assert_eq!(sums(text, "en"), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn letters_whose_lower_case_is_shorter_do_no_harm() {
        for text in ["\u{212A}r 12", "İ€ 12", "\u{212A} 12 \u{212A}r", "Se\u{212A}12"] {
            sums(text, "en");
        }
    }

    #[test]
    fn the_span_covers_number_and_currency() {
        let mut out = Vec::new();
        find("è costato 12,50 € ieri", "it", &mut out);
        assert_eq!((out[0].start, out[0].end), (10, 17));
    }
}

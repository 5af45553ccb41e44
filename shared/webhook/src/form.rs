//! `application/x-www-form-urlencoded`, to the byte: a signature covers what was sent, trimmed and mended by nobody.

use percent_encoding::percent_decode;
use std::borrow::Cow;

/// More fields than any provider sends; a body of 256 KB could hold 128,000.
pub const MAX_FIELDS: usize = 16_384;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, decoded.
    pub name: Cow<'a, [u8]>,
    /// Its value, decoded; perhaps not UTF-8.
    pub value: Cow<'a, [u8]>,
}

/// A form has more than [`MAX_FIELDS`] fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the form has more than {MAX_FIELDS} fields")]
pub struct TooManyFields;

/// The fields in the order in which they came.
pub fn parse(body: &[u8]) -> Result<Vec<Field<'_>>, TooManyFields> {
    let mut fields = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if fields.len() == MAX_FIELDS {
            return Err(TooManyFields);
        }
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(place) => (&pair[..place], &pair[place + 1..]),
            None => (pair, &[][..]),
        };
        fields.push(Field { name: decode(name), value: decode(value) });
    }
    Ok(fields)
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &[u8]) -> Vec<(String, Vec<u8>)> {
        let fields = parse(body).unwrap();
        fields
            .into_iter()
            .map(|field| (String::from_utf8_lossy(&field.name).into_owned(), field.value.into_owned()))
            .collect()
    }

    #[test]
    fn spaces_come_in_two_spellings_and_nothing_is_trimmed() {
        assert_eq!(
            pairs(b"a=%20Wed%2C+20&b=&&c&d=1=2"),
            [
                ("a".into(), b" Wed, 20".to_vec()),
                ("b".into(), vec![]),
                ("c".into(), vec![]),
                ("d".into(), b"1=2".to_vec())
            ]
        );
    }

    #[test]
    fn bytes_that_are_not_text_and_broken_escapes_are_kept() {
        assert_eq!(pairs(b"a=%FF%zz%"), [("a".into(), b"\xff%zz%".to_vec())]);
    }

    #[test]
    fn a_form_that_never_ends_is_refused() {
        assert_eq!(parse("a&".repeat(MAX_FIELDS).as_bytes()).unwrap().len(), MAX_FIELDS);
        assert_eq!(parse("a&".repeat(MAX_FIELDS + 1).as_bytes()), Err(TooManyFields));
    }
}

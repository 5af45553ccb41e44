//! S/MIME that is signed and not encrypted: the content within, so that it can be read (RFC 8551, RFC 5652). The
//! signature is not judged here; the mail is only flagged.

/// Deeper than any signed message nests.
const MAX_DEPTH: usize = 16;

/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED_OCTET_STRING: u8 = 0x24;
const EXPLICIT_0: u8 = 0xa0;

struct Element<'x> {
    tag: u8,
    content: &'x [u8],
    /// Bytes of the element, its head and end included.
    length: usize,
}

/// One element of BER at the start of `data`, its length definite or not.
fn element(data: &[u8], depth: usize) -> Option<Element<'_>> {
    let (tag, first) = (*data.first()?, *data.get(1)?);
    // Tags of several bytes do not occur in what is read here.
    if depth > MAX_DEPTH || tag & 0x1f == 0x1f {
        return None;
    }
    if first == 0x80 {
        let mut at = 2;
        while data.get(at..at + 2)? != [0, 0] {
            at += element(data.get(at..)?, depth + 1)?.length;
        }
        return Some(Element { tag, content: data.get(2..at)?, length: at + 2 });
    }
    let (length, head) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        let bytes = data.get(2..2 + count).filter(|_| count <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
    };
    Some(Element { tag, content: data.get(head..head.checked_add(length)?)?, length: head + length })
}

fn children(content: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = element(content.get(at..)?, 0)?;
        at += found.length.max(1);
        Some(found)
    })
}

/// The MIME entity that a SignedData holds; `None` for anything else, encrypted data among it.
pub(super) fn signed_content(bytes: &[u8]) -> Option<Vec<u8>> {
    let outer = element(bytes, 0).filter(|outer| outer.tag == SEQUENCE)?;
    let mut parts = children(outer.content);
    parts.next().filter(|oid| oid.tag == OBJECT_IDENTIFIER && oid.content == SIGNED_DATA)?;
    let explicit = parts.next().filter(|part| part.tag == EXPLICIT_0)?;
    let signed = children(explicit.content).next().filter(|part| part.tag == SEQUENCE)?;
    let info = children(signed.content).find(|part| part.tag == SEQUENCE)?;
    let mut parts = children(info.content);
    parts.next().filter(|oid| oid.tag == OBJECT_IDENTIFIER && oid.content == DATA)?;
    let explicit = parts.next().filter(|part| part.tag == EXPLICIT_0)?;
    let octets = children(explicit.content).next()?;
    match octets.tag {
        OCTET_STRING => Some(octets.content.to_vec()),
        CONSTRUCTED_OCTET_STRING => Some(
            children(octets.content)
                .filter(|part| part.tag == OCTET_STRING)
                .flat_map(|part| part.content.to_vec())
                .collect(),
        ),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84][..], &length, content].concat()
    }

    fn indefinite(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x80][..], content, &[0, 0]].concat()
    }

    /// A SignedData without signers, as RFC 5652 describes it.
    pub fn signed(content: &[u8]) -> Vec<u8> {
        let inner = [tlv(OBJECT_IDENTIFIER, DATA), tlv(EXPLICIT_0, &tlv(OCTET_STRING, content))].concat();
        let data = [tlv(0x02, &[1]), tlv(0x31, &[]), tlv(SEQUENCE, &inner)].concat();
        tlv(SEQUENCE, &[tlv(OBJECT_IDENTIFIER, SIGNED_DATA), tlv(EXPLICIT_0, &tlv(SEQUENCE, &data))].concat())
    }

    #[test]
    fn signed_content_is_found_with_lengths_of_both_forms() {
        assert_eq!(signed_content(&signed(b"text")).as_deref(), Some(&b"text"[..]));
        let octets =
            indefinite(CONSTRUCTED_OCTET_STRING, &[tlv(OCTET_STRING, b"te"), tlv(OCTET_STRING, b"xt")].concat());
        let inner = [tlv(OBJECT_IDENTIFIER, DATA), indefinite(EXPLICIT_0, &octets)].concat();
        let data = [tlv(0x02, &[1]), tlv(0x31, &[]), indefinite(SEQUENCE, &inner)].concat();
        let whole = indefinite(
            SEQUENCE,
            &[tlv(OBJECT_IDENTIFIER, SIGNED_DATA), indefinite(EXPLICIT_0, &indefinite(SEQUENCE, &data))].concat(),
        );
        assert_eq!(signed_content(&whole).as_deref(), Some(&b"text"[..]));
    }

    #[test]
    fn what_is_no_signed_data_is_nothing() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x84\xff\xff\xff\xff",
            b"0\x03\x06\x01\x2a",
            &[0x30, 0x80].repeat(10_000),
        ] {
            assert_eq!(signed_content(bytes), None);
        }
    }
}

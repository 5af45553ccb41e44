//! Charsets of seven bits that switch their meaning on the way: ISO-2022-JP with all that is sent under its name (RFC 1468,
//! 2237), ISO-2022-KR (RFC 1557), HZ (RFC 1843). encoding_rs reads the first as browsers do, which refuse a
//! switch without text after it, and the others not at all. Each is rewritten into its form of eight bits.

use encoding_rs::{EUC_JP, EUC_KR, GBK};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Ascii,
    /// JIS X 0208, two bytes.
    Kanji,
    /// JIS X 0212, two bytes.
    Supplement,
    /// Half-width katakana.
    Kana,
}

/// `true` if a sequence that only ISO-2022-JP has is in there.
pub fn has_japanese_escapes(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0x1b, bytes).any(|at| matches!(bytes.get(at + 1..at + 3), Some([b'$', b'B' | b'@'] | b"(I")))
}

/// ISO-2022-JP as text; `None` if its bytes do not hold together.
pub fn iso_2022_jp(bytes: &[u8]) -> Option<String> {
    let mut euc = Vec::with_capacity(bytes.len());
    let (mut set, mut shifted) = (Set::Ascii, false);
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            0x1b => {
                let rest = bytes.get(at..).unwrap_or_default();
                let (found, length) = match rest {
                    [b'(', b'B' | b'J' | b'H', ..] => (Set::Ascii, 2),
                    [b'(', b'I', ..] => (Set::Kana, 2),
                    [b'$', b'@' | b'B', ..] => (Set::Kanji, 2),
                    [b'$', b'(', b'@' | b'B', ..] => (Set::Kanji, 3),
                    [b'$', b'(', b'D', ..] => (Set::Supplement, 3),
                    [b'&', b'@', ..] => (set, 2),
                    _ => return None,
                };
                set = found;
                at += length;
            }
            0x0e => shifted = true,
            0x0f => shifted = false,
            b'\n' | b'\r' => {
                // A line ends in ASCII, whether it says so or not.
                set = Set::Ascii;
                euc.push(byte);
            }
            _ if shifted || set == Set::Kana => {
                if (0x21..0x60).contains(&byte) {
                    euc.extend([0x8e, byte | 0x80])
                } else {
                    euc.push(byte)
                }
            }
            0x21..=0x7e if set != Set::Ascii => {
                let second = bytes.get(at).copied().filter(|second| (0x21..=0x7e).contains(second))?;
                at += 1;
                if set == Set::Supplement {
                    euc.push(0x8f);
                }
                euc.extend([byte | 0x80, second | 0x80]);
            }
            _ => euc.push(byte),
        }
    }
    let (text, _) = EUC_JP.decode_without_bom_handling(&euc);
    // Characters that vendors put where the standard has none are few; bytes of another charset are many.
    let broken = text.chars().filter(|character| *character == '\u{FFFD}').count();
    (broken == 0 || broken * 20 < text.chars().count()).then(|| text.into_owned())
}

/// ISO-2022-KR as text.
pub fn iso_2022_kr(bytes: &[u8]) -> Option<String> {
    let mut euc = Vec::with_capacity(bytes.len());
    let mut korean = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            0x1b if bytes.get(at..)?.starts_with(b"$)C") => at += 3,
            0x0e => korean = true,
            0x0f => korean = false,
            0x21..=0x7e if korean => euc.push(byte | 0x80),
            _ => euc.push(byte),
        }
    }
    EUC_KR.decode_without_bom_handling_and_without_replacement(&euc).map(|text| text.into_owned())
}

/// HZ as text.
pub fn hz(bytes: &[u8]) -> Option<String> {
    let mut gbk = Vec::with_capacity(bytes.len());
    let mut chinese = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match (byte, bytes.get(at).copied()) {
            (b'~', Some(b'{')) => (chinese, at) = (true, at + 1),
            (b'~', Some(b'}')) => (chinese, at) = (false, at + 1),
            (b'~', Some(b'~')) if !chinese => {
                gbk.push(b'~');
                at += 1;
            }
            (b'~', Some(b'\n')) => at += 1,
            (b'\n', _) => {
                chinese = false;
                gbk.push(byte);
            }
            (0x21..=0x7e, _) if chinese => gbk.push(byte | 0x80),
            _ => gbk.push(byte),
        }
    }
    GBK.decode_without_bom_handling_and_without_replacement(&gbk).map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_with_a_switch_that_switches_nothing_is_read() {
        // Two encoded words put together: back to ASCII and at once to kanji again.
        let bytes = b"\x1b$BJV6b\x1b(B\x1b$B4uK>\x1b(B";
        assert_eq!(iso_2022_jp(bytes).as_deref(), Some("返金希望"));
        assert_eq!(iso_2022_jp(b"\x1b(I6^=\x1b(B x").as_deref(), Some("ｶﾞｽ x"));
        assert_eq!(iso_2022_jp(b"\x1b$(B!V\n").as_deref(), Some("「\n"));
    }

    #[test]
    fn korean_and_chinese_of_seven_bits_are_read() {
        assert_eq!(iso_2022_kr(b"\x1b$)C\x0eH/\x0f 1").as_deref(), Some("환 1"));
        assert_eq!(hz(b"a ~{VPND~} b ~~").as_deref(), Some("a 中文 b ~"));
    }
}

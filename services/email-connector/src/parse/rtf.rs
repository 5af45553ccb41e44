//! Rich text as Outlook packs it: its compression (MS-OXRTFCP), the HTML that it may wrap (MS-OXRTFEX), its words.

use super::{body, charset};

/// What every dictionary begins with (MS-OXRTFCP, 2.1.2.1).
const DICTIONARY: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

const DICTIONARY_BYTES: usize = 4096;
const COMPRESSED: u32 = 0x7546_5a4c;
const UNCOMPRESSED: u32 = 0x414c_454d;

/// Groups within groups deeper than this carry no text.
const MAX_GROUPS: usize = 200;

/// Undoes the compression; `None` if the data are of neither kind.
pub(super) fn decompress(data: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let raw_size = usize::try_from(number(4)?).ok()?;
    let kind = number(8)?;
    let packed = data.get(16..)?;
    match kind {
        UNCOMPRESSED => Some(packed.get(..raw_size).unwrap_or(packed).to_vec()),
        COMPRESSED => Some(inflate(packed, raw_size)),
        _ => None,
    }
}

/// A byte of flags, then eight literals or references of two bytes into the last four kilobytes.
fn inflate(packed: &[u8], raw_size: usize) -> Vec<u8> {
    let mut dictionary = [0u8; DICTIONARY_BYTES];
    dictionary.iter_mut().zip(DICTIONARY).for_each(|(slot, byte)| *slot = *byte);
    let mut write = DICTIONARY.len();
    let mut output = Vec::new();
    let mut bytes = packed.iter().copied();
    while let Some(flags) = bytes.next() {
        for bit in 0..8 {
            if output.len() >= raw_size {
                return output;
            }
            let Some(first) = bytes.next() else {
                return output;
            };
            let (mut read, mut length) = (0, 0);
            if flags >> bit & 1 == 1 {
                let Some(second) = bytes.next() else {
                    return output;
                };
                let reference = usize::from(first) << 8 | usize::from(second);
                (read, length) = (reference >> 4, (reference & 0xf) + 2);
                if read == write {
                    return output;
                }
            }
            for step in 0..length.max(1) {
                let byte = if length == 0 {
                    first
                } else {
                    dictionary.get((read + step) % DICTIONARY_BYTES).copied().unwrap_or(0)
                };
                output.push(byte);
                if let Some(slot) = dictionary.get_mut(write) {
                    *slot = byte;
                }
                write = (write + 1) % DICTIONARY_BYTES;
            }
        }
    }
    output
}

#[derive(Clone, Copy, Default)]
struct Group {
    /// A destination that holds no text, such as the fonts.
    silent: bool,
    /// HTML that stands in the RTF as it is.
    html_tag: bool,
    /// RTF beside the HTML, for readers without HTML.
    html_rtf: bool,
    /// Characters to pass over after `\u`.
    fallback: usize,
}

/// Destinations whose text is not the document's.
const SILENT: [&str; 16] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "header",
    "footer",
    "headerl",
    "headerr",
    "footerl",
    "footerr",
    "listtable",
    "listoverridetable",
    "generator",
    "themedata",
];

struct Reader {
    group: Group,
    outer: Vec<Group>,
    output: String,
    /// Bytes of the code page that are not yet decoded.
    pending: Vec<u8>,
    codepage: Option<String>,
    is_html: bool,
    skip: usize,
    starred: bool,
    /// The first half of a character of two.
    high: Option<u32>,
}

/// The words of a document; of one that wraps HTML, the words of that.
pub(super) fn to_text(rtf: &[u8]) -> String {
    let mut reader = Reader {
        group: Group { fallback: 1, ..Group::default() },
        outer: Vec::new(),
        output: String::new(),
        pending: Vec::new(),
        codepage: None,
        is_html: memchr::memmem::find(rtf, b"\\fromhtml").is_some(),
        skip: 0,
        starred: false,
        high: None,
    };
    let mut at = 0;
    while let Some(byte) = rtf.get(at).copied() {
        at += 1;
        match byte {
            b'{' => reader.open(),
            b'}' => reader.close(),
            b'\\' => at += reader.control(rtf.get(at..).unwrap_or_default()),
            b'\r' | b'\n' => {}
            other => reader.byte(other),
        }
    }
    reader.flush();
    let text = reader.output;
    if reader.is_html { body::html_text(&text) } else { text.trim().to_owned() }
}

impl Reader {
    fn open(&mut self) {
        self.flush();
        if self.outer.len() < MAX_GROUPS {
            self.outer.push(self.group);
        }
        self.skip = 0;
        self.starred = false;
    }

    fn close(&mut self) {
        self.flush();
        if let Some(group) = self.outer.pop() {
            self.group = group;
        }
        self.starred = false;
    }

    fn is_text(&self) -> bool {
        !(self.group.silent || self.is_html && self.group.html_rtf)
    }

    fn byte(&mut self, byte: u8) {
        self.starred = false;
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.is_text() {
            self.pending.push(byte);
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.pending);
            let declared = self.codepage.as_deref().filter(|_| !bytes.is_ascii());
            self.output.push_str(&charset::decode(&bytes, declared, false).text);
        }
    }

    fn push(&mut self, text: &str) {
        if self.is_text() {
            self.flush();
            self.output.push_str(text);
        }
    }

    /// A control word or symbol after its backslash; gives how many bytes it took.
    fn control(&mut self, rest: &[u8]) -> usize {
        let Some(first) = rest.first().copied() else {
            return 0;
        };
        if !first.is_ascii_alphabetic() {
            return self.symbol(first, rest);
        }
        let letters = rest.iter().take(40).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = String::from_utf8_lossy(rest.get(..letters).unwrap_or_default()).into_owned();
        let number = rest.get(letters..).unwrap_or_default();
        let digits = number
            .iter()
            .enumerate()
            .take(12)
            .take_while(|(index, byte)| byte.is_ascii_digit() || (*index == 0 && **byte == b'-'))
            .count();
        let parameter = std::str::from_utf8(number.get(..digits).unwrap_or_default())
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        let space = usize::from(number.get(digits) == Some(&b' '));
        self.word(&word, parameter);
        letters + digits + space
    }

    fn symbol(&mut self, symbol: u8, rest: &[u8]) -> usize {
        match symbol {
            b'\'' => {
                let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
                if let (Some(high), Some(low)) = (digit(1), digit(2)) {
                    self.byte(u8::try_from(high * 16 + low).unwrap_or_default());
                    return 3;
                }
            }
            b'*' => {
                self.starred = true;
                return 1;
            }
            b'~' => self.push("\u{A0}"),
            b'\r' | b'\n' => self.push("\n"),
            b'\\' | b'{' | b'}' => self.byte(symbol),
            _ => {}
        }
        1
    }

    fn word(&mut self, word: &str, parameter: Option<i64>) {
        let starred = std::mem::take(&mut self.starred);
        match word {
            "htmltag" | "mhtmltag" if starred => {
                self.group.html_tag = word == "htmltag";
                self.group.silent = !self.group.html_tag || !self.is_html;
            }
            "htmlrtf" => {
                self.flush();
                self.group.html_rtf = parameter != Some(0);
            }
            "ansicpg" => self.codepage = parameter.map(|number| format!("windows-{number}")),
            "uc" => self.group.fallback = parameter.and_then(|count| usize::try_from(count).ok()).unwrap_or(1).min(8),
            "u" => {
                let code = parameter
                    .and_then(|number| u32::try_from(if number < 0 { number + 0x1_0000 } else { number }).ok());
                self.character(code.unwrap_or(0xfffd));
                self.skip = self.group.fallback;
            }
            "par" | "line" | "row" | "sect" | "page" if !self.group.html_tag => self.push("\n"),
            "par" | "line" => self.push("\n"),
            "tab" | "cell" => self.push("\t"),
            "lquote" => self.push("‘"),
            "rquote" => self.push("’"),
            "ldblquote" => self.push("“"),
            "rdblquote" => self.push("”"),
            "bullet" => self.push("•"),
            "endash" => self.push("–"),
            "emdash" => self.push("—"),
            _ if starred || SILENT.contains(&word) => self.group.silent = true,
            _ => {}
        }
    }

    /// A character beyond the first 65,536 comes as two halves.
    fn character(&mut self, code: u32) {
        let high = self.high.take();
        let code = match (high, code) {
            (_, 0xd800..0xdc00) => {
                self.high = Some(code);
                return;
            }
            (Some(high), 0xdc00..0xe000) => 0x1_0000 + ((high - 0xd800) << 10) + (code - 0xdc00),
            _ => code,
        };
        let character = char::from_u32(code).unwrap_or('\u{FFFD}');
        self.push(character.encode_utf8(&mut [0; 4]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_text_is_the_example_of_the_specification() {
        // MS-OXRTFCP, 4.1.1.
        let data = [
            0x2d, 0x00, 0x00, 0x00, 0x2b, 0x00, 0x00, 0x00, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00,
            0x0a, 0x00, 0x72, 0x63, 0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09,
            0x00, 0x20, 0x62, 0x77, 0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
        ];
        let rtf = decompress(&data).unwrap();
        assert_eq!(rtf, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(to_text(&rtf), "hello world");
    }

    #[test]
    fn words_are_read_and_what_describes_them_is_not() {
        let rtf = b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\*\\generator x;}\\pard Gr\\'fc\\'dfe\\par\\u8364? 5\\line {\\b fett} \\{a\\}}";
        assert_eq!(to_text(rtf), "Grüße\n€ 5\nfett {a}");
        assert_eq!(to_text(b"{\\rtf1\\u-10179?\\u-8704?}"), "\u{1F600}");
    }

    #[test]
    fn html_that_was_wrapped_is_unwrapped() {
        let rtf = b"{\\rtf1\\ansi\\ansicpg1252\\fromhtml1{\\*\\htmltag64 <p>}\\htmlrtf {\\b \\htmlrtf0 The lamp{\\*\\htmltag84 &amp;}\\htmlrtf } \\htmlrtf0 shade{\\*\\htmltag72 </p>}}";
        assert_eq!(to_text(rtf), "The lamp&shade");
    }

    #[test]
    fn hostile_input_ends() {
        for rtf in [&b"{\\"[..], b"\\'", b"\\u", &b"{".repeat(100_000), &b"\\u-10179".repeat(10_000), b"}}}}"] {
            let _ = to_text(rtf);
        }
        let _ = decompress(&[0xff; 4096]);
    }
}

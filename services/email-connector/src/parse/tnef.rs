//! `winmail.dat`: what Outlook packs a mail's body and attachments into (MS-OXTNEF, MS-OXCDATA 2.11).

use super::{body, charset, rtf};

const SIGNATURE: [u8; 4] = [0x78, 0x9f, 0x3e, 0x22];

const BODY: u32 = 0x0002_800c;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const RENDERING: u32 = 0x0006_9002;
const ATTACHMENT_TITLE: u32 = 0x0001_8010;
const ATTACHMENT_DATA: u32 = 0x0006_800f;
const ATTACHMENT_PROPERTIES: u32 = 0x0006_9005;
const OEM_CODEPAGE: u32 = 0x0006_9007;

/// More properties or attachments than this are left unread.
const MAX_ENTRIES: usize = 1_000;

/// How deep messages within messages are opened.
const MAX_DEPTH: usize = 3;

/// What was packed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    pub text: String,
    pub attachments: Vec<File>,
}

/// A packed attachment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    pub name: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// Little-endian numbers and bytes from the front.
struct Cursor<'x>(&'x [u8]);

impl<'x> Cursor<'x> {
    fn take(&mut self, length: usize) -> Option<&'x [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }
}

/// Reads a TNEF stream; `None` if it is none. A stream that breaks off gives what came before.
pub(super) fn read(bytes: &[u8]) -> Option<Packed> {
    read_at(bytes, 0)
}

fn read_at(bytes: &[u8], depth: usize) -> Option<Packed> {
    let mut cursor = Cursor(bytes);
    if cursor.take(4)? != SIGNATURE {
        return None;
    }
    cursor.u16()?;
    let mut state = State { depth, ..State::default() };
    for _ in 0..MAX_ENTRIES {
        if state.attribute(&mut cursor).is_none() {
            break;
        }
    }
    Some(state.finish())
}

#[derive(Default)]
struct State {
    depth: usize,
    codepage: Option<String>,
    plain: Option<String>,
    html: Option<Vec<u8>>,
    rtf: Option<String>,
    files: Vec<File>,
    within: Vec<File>,
}

impl State {
    fn attribute(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let _level = cursor.take(1)?;
        let id = cursor.u32()?;
        let length = cursor.length()?;
        // A stream that was cut still has the beginning of its last attribute.
        let data = cursor.take(length.min(cursor.0.len()))?;
        let _checksum = cursor.u16();
        match id {
            OEM_CODEPAGE => {
                let number = Cursor(data).u32()?;
                self.codepage.get_or_insert_with(|| format!("windows-{number}"));
            }
            BODY => self.plain = Some(self.decoded(until_nul(data))).filter(|text| !text.trim().is_empty()),
            MESSAGE_PROPERTIES => self.message_properties(data),
            RENDERING if self.files.len() < MAX_ENTRIES => self.files.push(File::default()),
            ATTACHMENT_TITLE => {
                let name = self.decoded(until_nul(data));
                let file = self.files.last_mut()?;
                if file.name.is_empty() {
                    file.name = name;
                }
            }
            ATTACHMENT_DATA => self.files.last_mut()?.bytes = data.to_vec(),
            ATTACHMENT_PROPERTIES => self.attachment_properties(data),
            _ => {}
        }
        Some(())
    }

    fn decoded(&self, bytes: &[u8]) -> String {
        let declared = self.codepage.as_deref().filter(|_| !bytes.is_ascii());
        charset::decode(bytes, declared, false).text
    }

    fn message_properties(&mut self, data: &[u8]) {
        properties(data, |id, kind, value| match id {
            // PidTagInternetCodepage speaks of the HTML alone, which may be of another charset than the rest.
            0x1000 => self.plain = Some(self.text(kind, value)).filter(|text| !text.trim().is_empty()),
            0x1009 => self.rtf = rtf::decompress(value).map(|rtf| rtf::to_text(&rtf)),
            0x1013 if kind == UNICODE => self.html = Some(self.text(kind, value).into_bytes()),
            0x1013 => self.html = Some(value.to_vec()),
            _ => {}
        });
    }

    fn attachment_properties(&mut self, data: &[u8]) {
        let mut file = self.files.pop().unwrap_or_default();
        let (mut long, mut short, mut display) = (String::new(), String::new(), String::new());
        properties(data, |id, kind, value| match id {
            0x3707 => long = self.text(kind, value),
            0x3704 => short = self.text(kind, value),
            0x3001 => display = self.text(kind, value),
            0x370e => file.media_type = self.text(kind, value).to_ascii_lowercase(),
            0x3701 if kind == OBJECT => {
                // An enclosed message: the identifier of its interface, then a stream of its own.
                let inner = value.get(16..).unwrap_or_default();
                if self.depth < MAX_DEPTH
                    && let Some(packed) = read_at(inner, self.depth + 1)
                {
                    self.within.extend(packed.attachments);
                    file.media_type = "application/vnd.ms-outlook".into();
                }
                file.bytes = inner.to_vec();
            }
            0x3701 => file.bytes = value.to_vec(),
            _ => {}
        });
        if let Some(name) = [long, short, display].into_iter().find(|name| !name.trim().is_empty()) {
            // The title of the attribute is the short name of DOS.
            file.name = name;
        }
        self.files.push(file);
    }

    fn text(&self, kind: u16, value: &[u8]) -> String {
        if kind == UNICODE {
            let (text, _) = encoding_rs::UTF_16LE.decode_without_bom_handling(value);
            return text.trim_end_matches('\0').to_owned();
        }
        self.decoded(until_nul(value))
    }

    fn finish(self) -> Packed {
        let html = || self.html.as_ref().map(|html| body::html_text(&charset::decode(html, None, true).text));
        let text = self.plain.clone().or_else(html).or_else(|| self.rtf.clone()).unwrap_or_default();
        let mut attachments: Vec<File> =
            self.files.into_iter().filter(|file| !file.name.is_empty() || !file.bytes.is_empty()).collect();
        for file in &mut attachments {
            if file.media_type.is_empty() {
                file.media_type = media_type_of(&file.name).into();
            }
        }
        attachments.extend(self.within);
        Packed { text: text.replace("\r\n", "\n"), attachments }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

const UNICODE: u16 = 0x001f;
const OBJECT: u16 = 0x000d;

/// Calls `each` with identifier, type and first value of every property; stops where the data stop making sense.
fn properties<'x>(data: &'x [u8], mut each: impl FnMut(u16, u16, &'x [u8])) {
    let mut cursor = Cursor(data);
    let count = cursor.length().unwrap_or(0).min(MAX_ENTRIES);
    for _ in 0..count {
        if property(&mut cursor, &mut each).is_none() {
            return;
        }
    }
}

fn property<'x>(cursor: &mut Cursor<'x>, each: &mut impl FnMut(u16, u16, &'x [u8])) -> Option<()> {
    let (kind, id) = (cursor.u16()?, cursor.u16()?);
    if id >= 0x8000 {
        cursor.take(16)?;
        if cursor.u32()? == 0 {
            cursor.u32()?;
        } else {
            let length = cursor.length()?;
            cursor.take(length.checked_next_multiple_of(4)?)?;
        }
    }
    let (many, kind) = (kind & 0x1000 != 0, kind & 0x0fff);
    let fixed = match kind {
        0x0002..=0x0004 | 0x000a | 0x000b => Some(4),
        0x0005..=0x0007 | 0x0014 | 0x0040 => Some(8),
        0x0048 => Some(16),
        0x001e | UNICODE | 0x0102 | OBJECT => None,
        _ => return None,
    };
    let values = if many || fixed.is_none() { cursor.length()? } else { 1 };
    for index in 0..values.min(cursor.0.len()) {
        let value = match fixed {
            Some(size) => cursor.take(size)?,
            None => {
                let length = cursor.length()?;
                let value = cursor.take(length)?;
                let padding = length.next_multiple_of(4) - length;
                cursor.take(padding.min(cursor.0.len()))?;
                value
            }
        };
        if index == 0 {
            each(id, kind, value);
        }
    }
    Some(())
}

/// TNEF tells the type only sometimes.
fn media_type_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "pdf" => "application/pdf",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "txt" => "text/plain",
        "htm" | "html" => "text/html",
        "csv" => "text/csv",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
        let sum = data.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        let length = u32::try_from(data.len()).unwrap();
        [&[level][..], &id.to_le_bytes(), &length.to_le_bytes(), data, &sum.to_le_bytes()].concat()
    }

    fn variable(id: u16, kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u32::try_from(value.len()).unwrap();
        let mut bytes =
            [&kind.to_le_bytes()[..], &id.to_le_bytes(), &1u32.to_le_bytes(), &length.to_le_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn list(properties: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(properties.len()).unwrap();
        [count.to_le_bytes().to_vec(), properties.concat()].concat()
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    /// A stream as Outlook writes it: code page, body as properties, one attachment with a short and a long name.
    pub fn winmail() -> Vec<u8> {
        let named = [
            &0x0003u16.to_le_bytes()[..],
            &0x8001u16.to_le_bytes(),
            &[7; 16],
            &1u32.to_le_bytes(),
            &6u32.to_le_bytes(),
            b"a\0b\0c\0\0\0",
            &5u32.to_le_bytes(),
        ]
        .concat();
        let rtf = b"{\\rtf1\\ansi\\ansicpg1252 The lamp\\par is br\\'f6ken.}";
        let header = [u32::try_from(rtf.len() + 12).unwrap(), u32::try_from(rtf.len()).unwrap(), 0x414c_454d, 0];
        let compressed = [header.map(u32::to_le_bytes).concat(), rtf.to_vec()].concat();
        [
            SIGNATURE.to_vec(),
            vec![1, 0],
            attribute(1, OEM_CODEPAGE, &[0xe4, 4, 0, 0, 0, 0, 0, 0]),
            attribute(1, MESSAGE_PROPERTIES, &list(&[named, variable(0x1009, 0x0102, &compressed)])),
            attribute(2, RENDERING, &[1, 0, 0, 0]),
            attribute(2, ATTACHMENT_TITLE, b"RECHNU~1.PDF\0"),
            attribute(2, ATTACHMENT_DATA, b"%PDF"),
            attribute(2, ATTACHMENT_PROPERTIES, &list(&[variable(0x3707, UNICODE, &utf16("Rechnung über Lampe.pdf"))])),
        ]
        .concat()
    }

    #[test]
    fn body_and_attachments_are_unpacked() {
        let packed = read(&winmail()).unwrap();
        assert_eq!(packed.text, "The lamp\nis bröken.");
        let file = File {
            name: "Rechnung über Lampe.pdf".into(),
            media_type: "application/pdf".into(),
            bytes: b"%PDF".to_vec(),
        };
        assert_eq!(packed.attachments, [file]);
    }

    #[test]
    fn a_stream_that_breaks_off_anywhere_gives_what_came_before() {
        let whole = winmail();
        for length in 0..whole.len() {
            let _ = read(&whole[..length]);
        }
        assert_eq!(read(&whole[..whole.len() - 100]).unwrap().text, "The lamp\nis bröken.");
        assert_eq!(read(b"no stream"), None);
    }
}

//! The structure of a mail: a header, a body, and parts within the body (RFC 2045 and 2046), read as mail is written and
//! not only as it should be.
//!
//! Nothing is copied: an [`Entity`] borrows its header and its body from the raw bytes. What would cost more than it can
//! say is bounded: parts, nesting, fields. An enclosed message (`message/rfc822`) is a leaf here; who wants to see
//! inside opens its body as a mail of its own.

use super::params::ContentType;
use memchr::memmem;

/// More parts than this are left unread; the largest of real mails have some dozens.
const MAX_PARTS: usize = 1_000;

/// Multiparts within multiparts deeper than this are one text.
const MAX_DEPTH: usize = 120;

/// Every level is searched for its delimiters: this many times the mail's size, or that many bytes, are searched at most.
const MAX_SEARCHES: usize = 40;
const MIN_SEARCHED_BYTES: usize = 16 << 20;

/// A header beyond this is cut; the rest counts as body.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// How many lines a multipart may take before its first part, where the delimiter has to be guessed.
const MAX_PREAMBLE_LINES: usize = 40;

/// One part: the mail itself, or what stands between two delimiters.
#[derive(Debug)]
pub(super) struct Entity<'x> {
    /// The raw header.
    pub header: &'x [u8],
    /// The raw body, its transfer encoding not undone.
    pub body: &'x [u8],
    pub content_type: ContentType,
    /// The parts of a multipart.
    pub children: Vec<Entity<'x>>,
}

impl<'x> Entity<'x> {
    /// The first value of a field of that name that is not blank.
    pub fn field(&self, name: &str) -> Option<&'x [u8]> {
        fields(self.header)
            .find(|(field, value)| field.eq_ignore_ascii_case(name.as_bytes()) && !value.trim_ascii().is_empty())
            .map(|(_, value)| value)
    }

    pub fn is_multipart(&self) -> bool {
        self.content_type.is("multipart", "*")
    }
}

/// A mail's structure, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Structure<'x> {
    pub root: Entity<'x>,
    pub defects: Vec<&'static str>,
}

/// Reads the structure of a mail, or of a message enclosed in one.
pub(super) fn open(raw: &[u8]) -> Structure<'_> {
    let budget = raw.len().saturating_mul(MAX_SEARCHES).max(MIN_SEARCHED_BYTES);
    let mut reader = Reader { parts: 0, budget, defects: Vec::new() };
    let start = beginning(raw);
    let raw = raw.get(start..).unwrap_or_default();
    let root = if raw.trim_ascii().is_empty() {
        reader.note("the mail is empty");
        text(raw)
    } else {
        let (header, body) = split_header(raw);
        if fields(header).next().is_none() {
            reader.note("no header: this may not be a mail");
        }
        if header.len() > MAX_HEADER_BYTES || fields(header).nth(super::header::MAX_FIELDS).is_some() {
            reader.note("the header is too long; its end was not read");
        }
        reader.entity(header, body, &ContentType::text_plain(), None, 0)
    };
    Structure { root, defects: reader.defects }
}

/// All of it as one text without a header: for what cannot be read otherwise.
pub(super) fn text(raw: &[u8]) -> Entity<'_> {
    Entity {
        header: raw.get(..0).unwrap_or_default(),
        body: raw,
        content_type: ContentType::text_plain(),
        children: Vec::new(),
    }
}

/// Where the header begins: after a byte order mark, empty lines, and an mbox's "From " line.
fn beginning(raw: &[u8]) -> usize {
    let mut start = if raw.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    loop {
        let rest = raw.get(start..).unwrap_or_default();
        let line = first_line(rest);
        let mbox = (line.starts_with(b"From ") || line.starts_with(b">From ")) && field_name(line).is_none();
        if line.is_empty() || !(mbox || line.trim_ascii().is_empty()) {
            return start;
        }
        start += line.len();
    }
}

fn first_line(raw: &[u8]) -> &[u8] {
    match memchr::memchr(b'\n', raw) {
        Some(end) => raw.get(..=end).unwrap_or(raw),
        None => raw,
    }
}

/// The name of the field that the line begins, if it begins one.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().take(128).position(|byte| *byte == b':')?;
    let name = line.get(..colon)?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// A field that stands in headers and hardly ever at the beginning of a line of text.
fn is_known_field(line: &[u8]) -> bool {
    const KNOWN: [&str; 18] = [
        "content-",
        "mime-",
        "x-",
        "received",
        "subject",
        "from",
        "to",
        "cc",
        "date",
        "message-id",
        "reply-to",
        "return-path",
        "delivered-to",
        "sender",
        "references",
        "in-reply-to",
        "list-",
        "dkim-",
    ];
    field_name(line).is_some_and(|name| {
        KNOWN.iter().any(|known| match known.strip_suffix('-') {
            Some(_) => name.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known.as_bytes())),
            None => name.eq_ignore_ascii_case(known.as_bytes()),
        })
    })
}

/// Header and body. The empty line between them may be missing, or hold white space, or a line in the header may be no
/// field: whatever is followed by a field that mails have is still header.
fn split_header(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    let apart = |header: usize, body: usize| (raw.get(..header).unwrap_or(raw), raw.get(body..).unwrap_or_default());
    while at < raw.len() {
        let rest = raw.get(at..).unwrap_or_default();
        let line = first_line(rest);
        let after = rest.get(line.len()..).unwrap_or_default();
        let bare = line.trim_ascii_end();
        if bare.is_empty() {
            let blank = line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            if blank || !is_known_field(first_line(after)) {
                return apart(at, at + line.len());
            }
        } else if !matches!(line.first(), Some(b' ' | b'\t')) && field_name(line).is_none() {
            let second = first_line(after);
            let third = first_line(after.get(second.len()..).unwrap_or_default());
            let goes_on = is_known_field(second) || (!second.trim_ascii().is_empty() && is_known_field(third));
            if !goes_on || bare.starts_with(b"--") {
                return apart(at, at);
            }
        } else if at == 0 && field_name(line).is_none() {
            return apart(0, 0);
        }
        at += line.len();
        if at > MAX_HEADER_BYTES {
            return apart(at, at);
        }
    }
    (raw, raw.get(raw.len()..).unwrap_or_default())
}

/// The fields of a header in their order, values still folded. What is no field is passed over.
pub(super) fn fields(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < header.len() {
            let rest = header.get(at..)?;
            let mut length = first_line(rest).len();
            let name = if matches!(rest.first(), Some(b' ' | b'\t')) { None } else { field_name(rest.get(..length)?) };
            let Some(name) = name else {
                at += length;
                continue;
            };
            while matches!(rest.get(length), Some(b' ' | b'\t')) {
                length += first_line(rest.get(length..)?).len();
            }
            at += length;
            let colon = memchr::memchr(b':', rest)?;
            return Some((name, rest.get(colon + 1..length)?));
        }
        None
    })
}

struct Reader {
    parts: usize,
    /// Bytes that may still be searched.
    budget: usize,
    defects: Vec<&'static str>,
}

impl Reader {
    fn note(&mut self, defect: &'static str) {
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    fn entity<'x>(
        &mut self,
        header: &'x [u8],
        body: &'x [u8],
        default: &ContentType,
        parent_boundary: Option<&[u8]>,
        depth: usize,
    ) -> Entity<'x> {
        self.parts += 1;
        let mut entity = Entity { header, body, content_type: ContentType::text_plain(), children: Vec::new() };
        let declared = entity.field("Content-Type");
        entity.content_type = match declared {
            Some(value) => ContentType::parse(value).unwrap_or_else(|| {
                self.note("the Content-Type field cannot be read");
                ContentType::text_plain()
            }),
            None => default.clone(),
        };
        if entity.is_multipart() {
            self.split(&mut entity, parent_boundary, depth);
        } else if depth == 0 && declared.is_none() && entity.content_type.is("text", "plain") {
            // The header lost the field, as it does when an empty line gets into it.
            if let Some(boundary) = guessed_boundary(body).filter(|boundary| is_closed(body, boundary)) {
                self.note("the structure is not declared");
                entity.content_type = ContentType::of("multipart", "mixed");
                self.divide(&mut entity, &boundary, depth);
            }
        }
        entity
    }

    fn split(&mut self, entity: &mut Entity<'_>, parent_boundary: Option<&[u8]>, depth: usize) {
        let within_budget = self.budget.checked_sub(entity.body.len());
        self.budget = within_budget.unwrap_or(0);
        if depth >= MAX_DEPTH || within_budget.is_none() {
            self.note("the parts are nested too deeply; the innermost were not read");
            entity.content_type = ContentType::text_plain();
            return;
        }
        let declared =
            entity.content_type.parameter("boundary").map(|boundary| boundary.trim_end().as_bytes().to_vec());
        let declared = declared.filter(|boundary| !boundary.is_empty());
        if let Some(boundary) = &declared {
            self.divide(entity, boundary, depth);
            // Within a parent that uses the same boundary the parts went to the parent.
            if !entity.children.is_empty() || parent_boundary == Some(boundary) {
                return;
            }
        }
        if let Some(boundary) = guessed_boundary(entity.body) {
            self.note("the boundary between the parts is not the declared one");
            self.divide(entity, &boundary, depth);
        }
        if entity.children.is_empty() {
            let html = memmem::find(&entity.body.to_ascii_lowercase(), b"<html").is_some();
            self.note("a multipart without parts");
            entity.content_type = if html { ContentType::of("text", "html") } else { ContentType::text_plain() };
        }
    }

    fn divide<'x>(&mut self, entity: &mut Entity<'x>, boundary: &[u8], depth: usize) {
        let default = if entity.content_type.is("multipart", "digest") {
            ContentType::of("message", "rfc822")
        } else {
            ContentType::text_plain()
        };
        for part in Pieces::of(entity.body, boundary) {
            if self.parts >= MAX_PARTS {
                self.note("too many parts; the last were not read");
                break;
            }
            // A delimiter right before the closing one is a slip and no part.
            if part.trim_ascii().is_empty() {
                self.parts += 1;
                continue;
            }
            let (header, body) = split_header(part);
            let child = self.entity(header, body, &default, Some(boundary), depth + 1);
            // Siblings after an empty multipart of the same boundary are its parts.
            match entity.children.last_mut() {
                Some(last) if last.is_multipart() && shares(last, boundary) => last.children.push(child),
                _ => entity.children.push(child),
            }
        }
    }
}

fn shares(entity: &Entity<'_>, boundary: &[u8]) -> bool {
    entity.content_type.parameter("boundary").is_some_and(|own| own.trim_end().as_bytes() == boundary)
}

/// What stands between the delimiters of a multipart.
struct Pieces<'x, 'b> {
    body: &'x [u8],
    boundary: &'b [u8],
    /// Where the current part begins; `None` before the first delimiter and after the closing one.
    start: Option<usize>,
    at: usize,
}

impl<'x, 'b> Pieces<'x, 'b> {
    fn of(body: &'x [u8], boundary: &'b [u8]) -> Self {
        Self { body, boundary, start: None, at: 0 }
    }

    /// The next delimiter: where its line begins, where the line ends, and whether it closes.
    fn delimiter(&mut self) -> Option<(usize, usize, bool)> {
        loop {
            let begin = self.at + memmem::find(self.body.get(self.at..)?, b"--")?;
            let rest = self.body.get(begin..)?;
            let at_line_start = begin == 0 || matches!(self.body.get(begin - 1), Some(b'\n' | b'\r'));
            if !at_line_start || !rest.get(2..).is_some_and(|rest| rest.starts_with(self.boundary)) {
                // No delimiter begins within this line's run of dashes but at a later line.
                self.at = begin + 2;
                continue;
            }
            let line = first_line(rest);
            let tail = line.get(2 + self.boundary.len()..).unwrap_or_default().trim_ascii_end();
            self.at = begin + line.len();
            match tail {
                b"" => return Some((begin, begin + line.len(), false)),
                b"--" => return Some((begin, begin + line.len(), true)),
                _ => {}
            }
        }
    }

    fn piece(&self, start: usize, end: usize) -> &'x [u8] {
        let piece = self.body.get(start..end.max(start)).unwrap_or_default();
        let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
        piece.strip_suffix(b"\r").unwrap_or(piece)
    }
}

impl<'x> Iterator for Pieces<'x, '_> {
    type Item = &'x [u8];

    fn next(&mut self) -> Option<&'x [u8]> {
        loop {
            let Some((begin, end, closes)) = self.delimiter() else {
                let start = self.start.take()?;
                return self.body.get(start..);
            };
            let before = self.start;
            self.start = (!closes).then_some(end);
            if let Some(start) = before {
                return Some(self.piece(start, begin));
            }
        }
    }
}

/// What looks like a delimiter: a line of two dashes and a word, above a field of a part.
fn guessed_boundary(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body;
    for _ in 0..MAX_PREAMBLE_LINES {
        let line = first_line(rest);
        if line.is_empty() {
            return None;
        }
        rest = rest.get(line.len()..)?;
        let word = line.trim_ascii_end();
        let Some(boundary) = word.strip_prefix(b"--") else {
            continue;
        };
        let next = first_line(rest);
        let content = next.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
        if content && (3..=200).contains(&boundary.len()) && boundary.iter().all(u8::is_ascii_graphic) {
            return Some(boundary.to_vec());
        }
    }
    None
}

fn is_closed(body: &[u8], boundary: &[u8]) -> bool {
    let closing = [b"--", boundary, b"--"].concat();
    memmem::find(body, &closing).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(entity: &Entity<'_>) -> String {
        let own = entity.content_type.media_type();
        if entity.children.is_empty() {
            return own;
        }
        format!("{own}({})", entity.children.iter().map(types).collect::<Vec<_>>().join(" "))
    }

    fn structure(raw: &str) -> String {
        types(&open(raw.as_bytes()).root)
    }

    #[test]
    fn parts_are_told_apart_by_whole_delimiters() {
        let raw = "Content-Type: multipart/mixed; boundary=a\n\npreamble\n--a\n\none\n--a \nContent-Type: multipart/alternative; boundary=\"ab\"\n\n--ab\n\ntwo\n--ab\nContent-Type: text/html\n\nthree\n--ab--\n--a--\nepilogue";
        assert_eq!(structure(raw), "multipart/mixed(text/plain multipart/alternative(text/plain text/html))");
        let open = open(raw.as_bytes());
        assert_eq!(open.root.children[0].body, b"one");
        assert!(open.defects.is_empty());
    }

    #[test]
    fn an_inner_multipart_that_is_not_closed_ends_with_the_outer() {
        let raw = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--a\nContent-Type: image/png\n\nx\n--a--\n";
        assert_eq!(structure(raw), "multipart/mixed(multipart/alternative(text/plain) image/png)");
    }

    #[test]
    fn one_boundary_for_two_levels_keeps_the_levels() {
        let raw = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=a\n\n--a\n\none\n--a\nContent-Type: text/html\n\ntwo\n--a--\n";
        assert_eq!(structure(raw), "multipart/mixed(multipart/alternative(text/plain text/html))");
    }

    #[test]
    fn a_wrong_or_missing_boundary_is_found_by_its_looks() {
        for declared in ["; boundary=wrong", ""] {
            let raw = format!(
                "Content-Type: multipart/mixed{declared}\n\n--right\nContent-Type: text/html\n\nx\n--right--\n"
            );
            assert_eq!(structure(&raw), "multipart/mixed(text/html)", "{declared}");
        }
        let lost = "Subject: x\n\nThis is a multi-part message in MIME format.\n--right\nContent-Type: text/html\n\nx\n--right--\n";
        assert_eq!(structure(lost), "multipart/mixed(text/html)");
        assert_eq!(structure("Content-Type: multipart/mixed; boundary=x\n\njust text"), "text/plain");
    }

    #[test]
    fn a_header_goes_on_over_what_is_no_field_and_ends_without_an_empty_line() {
        let header = |raw: &'static str| {
            let open = open(raw.as_bytes());
            (open.root.field("Subject").map(<[u8]>::trim_ascii), open.root.body)
        };
        assert_eq!(header("\r\n\r\nSubject: x\r\n\r\nbody"), (Some(&b"x"[..]), &b"body"[..]));
        assert_eq!(header("From ana Mon Jan  7 10:00:00 2002\nSubject : x\n\nbody"), (Some(&b"x"[..]), &b"body"[..]));
        assert_eq!(header("garbage\nSubject: x\nmore garbage\nFrom: a\n\nbody"), (Some(&b"x"[..]), &b"body"[..]));
        assert_eq!(header("Subject: x\nhello there\nbye"), (Some(&b"x"[..]), &b"hello there\nbye"[..]));
        assert_eq!(header("Subject: x\n y\n \nbody"), (Some(&b"x\n y"[..]), &b"body"[..]));
        assert_eq!(header("Subject: x"), (Some(&b"x"[..]), &b""[..]));
    }

    #[test]
    fn a_mail_without_a_header_is_a_body() {
        let structure = open(b"no header at all");
        assert_eq!(structure.root.body, b"no header at all");
        assert_eq!(structure.defects, ["no header: this may not be a mail"]);
    }

    #[test]
    fn parts_and_nesting_are_bounded() {
        let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(5_000));
        let structure = open(many.as_bytes());
        assert!(structure.root.children.len() <= MAX_PARTS && !structure.defects.is_empty());
        let deep: String =
            (0..500).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
        assert!(!open(deep.as_bytes()).defects.is_empty());
    }
}

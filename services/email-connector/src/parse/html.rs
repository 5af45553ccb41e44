//! HTML to text that a person can read: links keep their target, tables their rows, quotes their mark.

use html2text::render::TextDecorator;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Beyond this the page is reduced by a linear scan instead of a document tree.
const MAX_TREE_BYTES: usize = 512 * 1024;

/// Nested elements beyond this are machine-made and would only cost stack.
const MAX_DEPTH: usize = 128;

/// Lines are wrapped by the reader, not by us; but a table's columns have to fit somewhere.
const WIDTH: usize = 1_000;

/// A table of more cells than this is layout, or would cost more in alignment than it says.
const MAX_CELLS: usize = 600;

/// The text of an HTML body. Never fails: what the tree builder refuses goes through a plain scan of tags.
pub(super) fn to_text(html: &str) -> String {
    let simple = html.len() > MAX_TREE_BYTES || depth(html) > MAX_DEPTH;
    let rendered = if simple { None } else { render(html) };
    let text = rendered.unwrap_or_else(|| mail_parser::decoders::html::html_to_text(html));
    tidy(&text)
}

/// The words of `text/enriched` (RFC 1896) and its forerunner: `<<` is `<`, one line end is a space.
pub(super) fn from_enriched(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut parameters = 0usize;
    let mut rest = text;
    while let Some(position) = rest.find('<') {
        let (before, tag) = rest.split_at(position);
        if parameters == 0 {
            output.push_str(before);
        }
        if let Some(after) = tag.strip_prefix("<<") {
            output.push('<');
            rest = after;
            continue;
        }
        let Some((name, after)) = tag.split_once('>') else {
            output.push_str(tag);
            rest = "";
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "<param" => parameters += 1,
            "</param" => parameters = parameters.saturating_sub(1),
            "<nl" => output.push('\n'),
            _ => {}
        }
        rest = after;
    }
    output.push_str(rest);
    tidy(&output)
}

fn render(html: &str) -> Option<String> {
    // A page can hit a corner that the renderer did not foresee; the mail must arrive all the same.
    catch_unwind(AssertUnwindSafe(|| {
        html2text::config::with_decorator(Plain { link: None })
            .raw_mode(is_layout(html))
            .no_table_borders()
            .link_footnotes(false)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), WIDTH)
            .ok()
    }))
    .ok()
    .flatten()
}

/// Tables within tables are how newsletters and signatures place things: their cells are read one after the other. A
/// plain table keeps its rows.
fn is_layout(html: &str) -> bool {
    let (mut open, mut cells) = (0usize, 0usize);
    for tag in html.split('<').skip(1) {
        let name = tag.get(..6).or_else(|| tag.get(..3)).unwrap_or_default().to_ascii_lowercase();
        if name.starts_with("table") {
            open += 1;
        } else if name.starts_with("/table") {
            open = open.saturating_sub(1);
        } else if name.starts_with("td") || name.starts_with("th") {
            cells += 1;
        }
        if open > 1 || cells > MAX_CELLS {
            return true;
        }
    }
    false
}

/// How deep elements nest at most, by counting tags; void elements and unclosed ones make it an upper bound.
fn depth(html: &str) -> usize {
    const VOID: [&str; 10] = ["br", "img", "meta", "hr", "link", "input", "p", "li", "wbr", "col"];
    let (mut depth, mut deepest) = (0usize, 0usize);
    for tag in html.split('<').skip(1) {
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            if !VOID.iter().any(|void| void.eq_ignore_ascii_case(name)) {
                depth += 1;
                deepest = deepest.max(depth);
            }
        }
    }
    deepest
}

/// No trailing space, never more than one empty line in a row, no invisible characters of preheaders.
fn tidy(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines() {
        let line = line.trim_end_matches(|c: char| c.is_whitespace() || is_invisible(c));
        if line.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
            blank += 1;
            continue;
        }
        if !output.is_empty() {
            output.push_str(if blank > 0 { "\n\n" } else { "\n" });
        }
        blank = 0;
        let mut spaces = 0;
        for character in line.chars().filter(|c| !is_invisible(*c)) {
            let character = if character == '\u{A0}' { ' ' } else { character };
            spaces = if character == ' ' { spaces + 1 } else { 0 };
            // Alignment says nothing beyond two spaces.
            if spaces <= 2 {
                output.push(character);
            }
        }
    }
    output
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}' | '\u{200C}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}' | '\u{34F}')
}

/// Text alone, with a link's target after its words when it says more than they do.
struct Plain {
    link: Option<String>,
}

impl TextDecorator for Plain {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        let told = url.starts_with("http://") || url.starts_with("https://");
        self.link = (told && url.len() <= 300).then(|| url.to_owned());
        (String::new(), ())
    }

    fn decorate_link_end(&mut self) -> String {
        self.link.take().map(|url| format!(" <{url}>")).unwrap_or_default()
    }

    fn decorate_em_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _source: &str, title: &str) -> (String, ()) {
        (title.to_owned(), ())
    }

    fn header_prefix(&self, _level: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }

    fn unordered_item_prefix(&self) -> String {
        "- ".to_owned()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn decorate_superscript_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_superscript_end(&self) -> String {
        String::new()
    }

    fn make_subblock_decorator(&self) -> Self {
        Self { link: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_their_target_and_tables_their_rows() {
        let text = to_text(
            "<p>See <a href='https://example.org/o/7'>my order</a></p><table><tr><td>Item</td><td>Price</td></tr><tr><td>Lamp</td><td>20 EUR</td></tr></table>",
        );
        assert!(text.contains("See my order <https://example.org/o/7>"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("Lamp")).collect();
        assert_eq!(rows.len(), 1, "{text}");
        assert!(rows[0].contains("20 EUR"), "{text}");
    }

    #[test]
    fn quotes_are_marked_and_styles_do_not_leak() {
        let text =
            to_text("<style>p{color:red}</style><script>x()</script><p>New</p><blockquote>Old<br>older</blockquote>");
        assert_eq!(text, "New\n\n> Old\n> older");
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let html = format!("{}deep{}", "<div>".repeat(50_000), "</div>".repeat(50_000));
        assert!(to_text(&html).contains("deep"));
        let unclosed = format!("{}deep", "<table><tr><td>".repeat(20_000));
        assert!(to_text(&unclosed).contains("deep"));
        let paragraphs = format!("{}deep", "<p>".repeat(100_000));
        assert!(to_text(&paragraphs).contains("deep"));
    }

    #[test]
    fn garbage_gives_something_and_never_fails() {
        for html in [
            "",
            "<",
            "<<<>>>",
            "<a href=",
            "&#xFFFFFFF;",
            "<table colspan=99999999><td rowspan=9999999 colspan=9999999>x",
        ] {
            let _ = to_text(html);
        }
    }
}

//! A post's HTML as the text a person reads.
//!
//! Servers send their own HTML (mission map, pitfalls of Mastodon): paragraphs, line breaks, links and mentions split
//! into spans. What is not text is dropped; nothing is ever rendered as HTML further on, so this is about reading, not
//! about safety.

use html2text::render::TrivialDecorator;

/// More than any post; a longer one is cut, and the item says so.
const MAX_HTML_BYTES: usize = 256 * 1024;
/// A forged post may nest elements without end, which costs a parser time that grows with the square of the depth.
const MAX_DEPTH: usize = 64;
/// Wide enough that a paragraph of a post stays one line; what a renderer pads to a line's width stays bounded.
const WIDTH: usize = 4_000;
/// Elements whose rendering is as large as the line is wide, however short they are: a post has no use for them.
const WIDE_ELEMENTS: &[&str] = &["hr", "table"];

/// The text, and whether the HTML was too long to be read whole.
pub fn to_text(html: &str) -> (String, bool) {
    let kept = cut(html, MAX_HTML_BYTES);
    let truncated = kept.len() < html.len();
    let text = if is_forged(kept) {
        without_tags(kept)
    } else {
        html2text::config::with_decorator(TrivialDecorator::new())
            .no_link_wrapping()
            .allow_width_overflow()
            .string_from_read(kept.as_bytes(), WIDTH)
            .unwrap_or_else(|_| without_tags(kept))
    };
    (tidy(&text), truncated)
}

fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Elements nested deeper than any post's (those without end tags count too), or elements that no post has.
fn is_forged(html: &str) -> bool {
    let mut depth = 0usize;
    for (position, _) in html.match_indices('<') {
        let after = &html[position + 1..];
        let name = after.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is_any_of = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        if after.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if is_any_of(WIDE_ELEMENTS) {
            return true;
        } else if !name.is_empty() && !is_any_of(&["br", "img", "wbr", "input"]) {
            depth += 1;
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// The crudest reading, for what no parser should be given: tags become spaces.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    text
}

/// Lines trimmed, at most one empty line in a row.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty_before = true;
    for line in text.lines().map(str::trim) {
        if line.is_empty() && empty_before {
            continue;
        }
        tidied.push_str(line);
        tidied.push('\n');
        empty_before = line.is_empty();
    }
    tidied.truncate(tidied.trim_end().len());
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        to_text(html).0
    }

    #[test]
    fn a_mention_split_into_spans_reads_as_one_word() {
        let html = concat!(
            r#"<p><span class="h-card" translate="no"><a href="https://example.social/@acme" class="u-url mention">"#,
            r#"@<span>acme</span></a></span> my parcel &amp; my patience are gone</p>"#
        );
        assert_eq!(text(html), "@acme my parcel & my patience are gone");
    }

    #[test]
    fn a_shortened_link_reads_in_full() {
        let html = concat!(
            r#"<p>see <a href="https://example.org/a/long/path"><span class="invisible">https://</span>"#,
            r#"<span class="ellipsis">example.org/a/lo</span><span class="invisible">ng/path</span></a></p>"#
        );
        assert_eq!(text(html), "see https://example.org/a/long/path");
    }

    #[test]
    fn paragraphs_and_breaks_are_kept_and_long_lines_are_not_wrapped() {
        let long = "word ".repeat(200);
        assert_eq!(text(&format!("<p>one<br>two</p><p>{long}</p>")), format!("one\ntwo\n\n{}", long.trim()));
    }

    #[test]
    fn scripts_and_styles_are_not_text() {
        let read =
            text("<style>p{color:red}</style><p>hello<script>alert('x')</script></p><img src=x onerror=alert(1)>");
        assert_eq!(read, "hello");
    }

    #[test]
    fn forged_nesting_is_read_quickly() {
        let started = std::time::Instant::now();
        let html = format!("{}help{}", "<div><p><b>".repeat(20_000), "</b></p></div>".repeat(20_000));
        assert_eq!(text(&html), "help");
        let unclosed = format!("{}help", "<blockquote>".repeat(20_000));
        assert_eq!(text(&unclosed), "help");
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }

    #[test]
    fn what_renders_as_wide_as_the_line_cannot_fill_the_memory() {
        assert_eq!(text(&format!("help{}", "<hr>".repeat(60_000))), "help");
        assert_eq!(text("<table><tr><td>a</td><td>b</td></tr></table>").split_whitespace().collect::<String>(), "ab");
    }

    #[test]
    fn a_megabyte_is_cut_between_characters_and_says_so() {
        let (read, truncated) = to_text(&"é".repeat(600_000));
        assert!(truncated && !read.is_empty() && read.chars().all(|c| c == 'é' || c == '\n'));
    }

    #[test]
    fn empty_broken_and_odd_html_is_text_all_the_same() {
        assert_eq!(text(""), "");
        assert_eq!(text("<p>"), "");
        assert_eq!(text("plain, 1 < 2"), "plain, 1 < 2");
        assert_eq!(text("<p>nul\0byte</p>").replace(['\0', '\u{fffd}'], ""), "nulbyte");
    }
}

//! `format=flowed` (RFC 3676): lines that were broken for the way are sentences again.

/// Joins the soft line breaks.
pub fn unflow(text: &str, delete_space: bool) -> String {
    let mut output = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let quotes = line.bytes().take_while(|byte| *byte == b'>').count();
        let content = line.get(quotes..).unwrap_or_default();
        let content = content.strip_prefix(' ').unwrap_or(content);
        let signature = content == "-- ";
        let continues = open == Some(quotes) && !signature;
        if !continues {
            if !output.is_empty() {
                output.push('\n');
            }
            output.extend(std::iter::repeat_n('>', quotes));
            if quotes > 0 {
                output.push(' ');
            }
        }
        let flowed = content.ends_with(' ') && !signature;
        let cut = usize::from(flowed && delete_space);
        output.push_str(content.get(..content.len() - cut).unwrap_or(content));
        open = flowed.then_some(quotes);
    }
    output
}

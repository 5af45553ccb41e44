//! Splits a migration into statements: the HTTP interface takes one at a time.

/// The statements of a script, without comments at line starts and without their semicolons. A semicolon inside quotes does
/// not end a statement.
pub(crate) fn statements(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    for line in script.lines() {
        if !quoted && line.trim_start().starts_with("--") {
            continue;
        }
        let mut rest = line.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\'' => quoted = !quoted,
                '\\' if quoted => {
                    current.push(character);
                    current.extend(rest.next());
                    continue;
                }
                ';' if !quoted => {
                    keep(&mut found, &mut current);
                    continue;
                }
                _ => {}
            }
            current.push(character);
        }
        current.push('\n');
    }
    keep(&mut found, &mut current);
    found
}

fn keep(found: &mut Vec<String>, current: &mut String) {
    let statement = std::mem::take(current);
    if !statement.trim().is_empty() {
        found.push(statement.trim().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn quotes_keep_semicolons_and_comments_go() {
        let script = "-- why; really\nCREATE TABLE a\n(b String COMMENT 'it''s; so');\n\nSELECT '\\';' ;\n-- end";
        assert_eq!(statements(script), ["CREATE TABLE a\n(b String COMMENT 'it''s; so')", "SELECT '\\';'"]);
    }
}

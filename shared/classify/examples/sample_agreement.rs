//! How often the rules agree with what a person would say of the demonstration's own messages:
//! `sample_agreement DIR [LANGUAGE]`, where `DIR` holds `mail/`, `calls/` and `posts/` with one file per language.
//!
//! A file's entries carry `label = "kind category urgency"`. With a language the disagreements are printed too.

use outcry_classify::{Circumstances, Classifier, Input};
use std::error::Error;
use std::path::Path;
use toml::Value;

const LANGUAGES: &[&str] = &["en", "it", "pt", "es", "fr", "de", "ja", "zh"];
const FOLDERS: &[(&str, &str, &str)] =
    &[("mail", "mail", "text"), ("calls", "call", "transcript"), ("posts", "post", "text")];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else { return Err("usage: sample_agreement DIR [LANGUAGE]".into()) };
    let shown = arguments.next();
    let classifier = Classifier::builtin();
    println!("{:<4} {:>4} {:>9} {:>6} {:>9} {:>8}", "", "n", "language", "kind", "category", "urgency");
    for language in LANGUAGES {
        let mut right = [0_usize; 4];
        let mut n = 0;
        for (subfolder, table, field) in FOLDERS {
            let path = Path::new(&folder).join(subfolder).join(format!("{language}.toml"));
            let file: Value = toml::from_str(&std::fs::read_to_string(path)?)?;
            for entry in file.get(table).and_then(Value::as_array).into_iter().flatten() {
                let words = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
                let number = |key: &str| entry.get(key).and_then(Value::as_integer).and_then(|n| u64::try_from(n).ok());
                let expected: Vec<&str> = words("label").split(' ').collect();
                let outbound = entry.get("outbound").and_then(Value::as_bool).unwrap_or(false);
                let ([kind, category, urgency], false) = (expected.as_slice(), outbound) else { continue };
                let mut input = Input::with_subject(words("subject"), words(field));
                input.circumstances = Circumstances {
                    followers: number("followers"),
                    engagement: number("boosts"),
                    ..Circumstances::default()
                };
                let said = classifier.classify(&input);
                let answers = [
                    (*language, said.language.label.as_str()),
                    (*kind, said.kind.label.as_str()),
                    (*category, said.category.label.as_str()),
                    (*urgency, said.urgency.label.as_str()),
                ];
                n += 1;
                for (count, (expected, answer)) in right.iter_mut().zip(answers) {
                    *count += usize::from(expected == answer);
                }
                if shown.as_deref() == Some(language) && answers.iter().any(|(expected, answer)| expected != answer) {
                    let differences: Vec<_> =
                        answers.iter().filter(|(a, b)| a != b).map(|(a, b)| format!("{a} -> {b}")).collect();
                    println!(
                        "  {subfolder}: {}\n      {} | {}",
                        differences.join(", "),
                        input.subject,
                        input.text.trim()
                    );
                    for evidence in &said.evidence {
                        print!("      [{}]", serde_json::to_string(evidence)?);
                    }
                    println!();
                }
            }
        }
        let share = |count: usize| count as f64 * 100.0 / n.max(1) as f64;
        let [a, b, c, d] = right.map(share);
        println!("{language:<4} {n:>4} {a:>8.0}% {b:>5.0}% {c:>8.0}% {d:>7.0}%");
    }
    Ok(())
}

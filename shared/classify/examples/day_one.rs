//! How good the rules are on real texts that they were not trained on: `day_one --data DIR [--errors COLUMN]`.
//!
//! `DIR` holds one folder per set with `train/*.csv`, and `taxonomy/` with the maps from the sets' labels to ours. For each
//! set it prints the share of right answers and the mean of that share over the labels, which a constant answer cannot
//! inflate. The same texts serve for a speed figure.

use outcry_classify::{Classifier, Input, Scratch};
use outcry_domain::Classification;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A set, the column of its texts, the column of its labels, and which of our axes it speaks of.
const SETS: &[(&str, &str, &str, &str, Axis)] = &[
    ("airline_tweets", "airline.csv", "text", "negativereason", Axis::Category),
    ("banking77", "banking77.csv", "text", "category", Axis::Category),
    ("cfpb", "cfpb.csv", "text", "issue", Axis::Category),
    ("tickets_multilang", "tickets.csv", "text", "queue", Axis::Category),
    ("complaint_tweets", "complaints.csv", "text", "complaint", Axis::Kind),
    ("airline_tweets", "airline.csv", "text", "airline_sentiment", Axis::Kind),
    ("umsab_tweets", "umsab.csv", "text", "language", Axis::Language),
    ("tickets_multilang", "tickets.csv", "text", "language", Axis::Language),
    ("umsab_tweets", "umsab.csv", "text", "sentiment", Axis::Sentiment),
];

#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Category,
    Kind,
    Language,
    Sentiment,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned();
    let Some(data) = value("--data") else {
        return Err("usage: day_one --data DIR [--errors COLUMN] [--label LABEL] [--show N]".into());
    };
    let data = PathBuf::from(data);
    let errors = value("--errors");
    let only = value("--label");
    let show = value("--show").and_then(|show| show.parse().ok()).unwrap_or(20);
    let categories = accepted(&data.join("taxonomy/category_map.tsv"))?;
    let kinds = accepted(&data.join("taxonomy/kind_map.tsv"))?;
    let classifier = Classifier::builtin();
    println!("{}", classifier.version());
    println!("{:<36} {:>7} {:>8} {:>8} {:>10}", "set:column", "n", "accuracy", "macro", "items/s");
    for (set, file, text, label, axis) in SETS {
        let key = format!("{set}:{label}");
        let rows = read(&data.join(set).join("train").join(file), text, label)?;
        let map = match axis {
            Axis::Category => categories.get(&key),
            Axis::Kind => kinds.get(&key),
            Axis::Language | Axis::Sentiment => None,
        };
        let score = measure(&classifier, &rows, map, *axis);
        println!(
            "{key:<36} {:>7} {:>8.3} {:>8.3} {:>10.0}",
            score.n,
            score.accuracy(),
            score.macro_mean(),
            score.speed
        );
        if errors.as_deref() == Some(label) {
            score.print(only.as_deref(), show);
        }
    }
    println!("{:.0} texts of {TEXT_LENGTH} characters per second of one core", speed(&classifier, &data)?);
    Ok(())
}

const TEXT_LENGTH: usize = 300;

/// Texts of complaints cut to one length, classified again and again; the best of five rounds, in processor time where
/// the system tells it.
fn speed(classifier: &Classifier, data: &Path) -> Result<f64> {
    let mut texts = Vec::new();
    for (set, file) in [("cfpb", "cfpb.csv"), ("airline_tweets", "airline.csv"), ("complaint_tweets", "complaints.csv")]
    {
        let rows = read(&data.join(set).join("train").join(file), "text", "text")?;
        let letters: Vec<char> = rows.iter().take(3000).flat_map(|(text, _)| text.chars().chain([' '])).collect();
        texts.extend(letters.chunks_exact(TEXT_LENGTH).take(1000).map(|chunk| chunk.iter().collect::<String>()));
    }
    let mut scratch = Scratch::default();
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let (wall, cpu) = (Instant::now(), processor_seconds());
        for text in &texts {
            std::hint::black_box(classifier.classify_with(&Input::new(text), &mut scratch));
        }
        let seconds = match (cpu, processor_seconds()) {
            (Some(before), Some(after)) => after - before,
            _ => wall.elapsed().as_secs_f64(),
        };
        best = best.max(texts.len() as f64 / seconds);
    }
    Ok(best)
}

/// What this thread has used of a processor, where Linux says so.
fn processor_seconds() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(line.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

#[derive(Default)]
struct Score {
    n: usize,
    labels: BTreeMap<String, (usize, usize, BTreeMap<String, usize>)>,
    wrong: Vec<(String, String, String)>,
    speed: f64,
}

impl Score {
    fn accuracy(&self) -> f64 {
        self.labels.values().map(|(right, ..)| *right).sum::<usize>() as f64 / self.n.max(1) as f64
    }

    fn macro_mean(&self) -> f64 {
        let shares = self.labels.values().map(|(right, all, _)| *right as f64 / *all as f64);
        shares.sum::<f64>() / self.labels.len().max(1) as f64
    }

    fn print(&self, only: Option<&str>, show: usize) {
        for (label, (right, all, answers)) in &self.labels {
            println!("  {label:<50} {right:>5}/{all:<5} {answers:?}");
        }
        for (label, answer, text) in self.wrong.iter().filter(|(label, ..)| only == Some(label)).take(show) {
            println!("    {label} -> {answer}: {}", text.chars().take(300).collect::<String>().replace('\n', " "));
        }
    }
}

fn measure(
    classifier: &Classifier,
    rows: &[(String, String)],
    map: Option<&BTreeMap<String, Vec<String>>>,
    axis: Axis,
) -> Score {
    let mut score = Score::default();
    let mut scratch = Scratch::default();
    let started = Instant::now();
    let answers: Vec<Classification> =
        rows.iter().map(|(text, _)| classifier.classify_with(&Input::new(text), &mut scratch)).collect();
    score.speed = rows.len() as f64 / started.elapsed().as_secs_f64();
    for ((text, label), answer) in rows.iter().zip(answers) {
        let answer = match axis {
            Axis::Category => answer.category.label.as_str().to_owned(),
            Axis::Kind => answer.kind.label.as_str().to_owned(),
            Axis::Language => answer.language.label,
            Axis::Sentiment => answer.sentiment.label.as_str().to_owned(),
        };
        let right = match map {
            Some(map) => match map.get(label) {
                Some(accepted) => accepted.contains(&answer),
                None => continue,
            },
            None => *label == answer,
        };
        score.n += 1;
        let entry = score.labels.entry(label.clone()).or_default();
        entry.0 += usize::from(right);
        entry.1 += 1;
        *entry.2.entry(answer.clone()).or_default() += 1;
        if !right {
            score.wrong.push((label.clone(), answer, text.clone()));
        }
    }
    score
}

fn read(path: &Path, text: &str, label: &str) -> Result<Vec<(String, String)>> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| {
        headers.iter().position(|header| header == name).ok_or_else(|| format!("{}: no column {name}", path.display()))
    };
    let (text, label) = (column(text)?, column(label)?);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        rows.push((record.get(text).unwrap_or_default().to_owned(), record.get(label).unwrap_or_default().to_owned()));
    }
    Ok(rows)
}

/// set:column -> label -> the answers that count as right.
fn accepted(path: &Path) -> Result<BTreeMap<String, BTreeMap<String, Vec<String>>>> {
    let mut map: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for line in std::fs::read_to_string(path)?.lines().skip(1) {
        let mut fields = line.split('\t');
        if let (Some(set), Some(label), Some(answers)) = (fields.next(), fields.next(), fields.next()) {
            let answers = answers.split('|').map(str::to_owned).collect();
            map.entry(set.to_owned()).or_default().insert(label.to_owned(), answers);
        }
    }
    Ok(map)
}

//! Models trained on labelled data, beside fastText and scikit-learn on the same rows in the same run.
//!
//! The folder has a folder for each set with `train/*.csv` in it and perhaps `heldout/*.csv`; where nothing is held out, a
//! fifth of the training rows is. Data stay where they are: none belong to the project.

use anyhow::{Context, Result};
use outcry_classify::model::{Confusion, DataCard, Example, Model, Plan, Room, train};
use outcry_tests::{Usage, machine};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Folder, column of the text, column of the label, and which rows.
const SETS: [Set; 8] = [
    Set { name: "Banking77", folder: "banking77", label: "category", each: None },
    Set { name: "Banking77, 20 each", folder: "banking77", label: "category", each: Some(20) },
    Set { name: "airline reason", folder: "airline_tweets", label: "negativereason", each: None },
    Set { name: "airline sentiment", folder: "airline_tweets", label: "airline_sentiment", each: None },
    Set { name: "CFPB product", folder: "cfpb", label: "product", each: None },
    Set { name: "complaint tweets", folder: "complaint_tweets", label: "complaint", each: None },
    Set { name: "UMSAB sentiment", folder: "umsab_tweets", label: "sentiment", each: None },
    Set { name: "tickets queue", folder: "tickets_multilang", label: "queue", each: None },
];
const TEXT: &str = "text";
const REFERENCE: &str = include_str!("reference.py");
/// How much CPU time a measurement of speed takes at least.
const MEASURED: Duration = Duration::from_millis(500);

/// Of `bench classify`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folder with the labelled sets.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only sets whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// Python with fastText and scikit-learn, to compare with; nothing is compared if not given.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
}

struct Set {
    name: &'static str,
    folder: &'static str,
    label: &'static str,
    each: Option<usize>,
}

type Row = (String, String);

/// One line of the table.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(default)]
    set: String,
    tool: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    #[serde(default)]
    accuracy: f64,
    #[serde(default)]
    macro_f1: f64,
    #[serde(default)]
    train_cpu_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    train_seconds: Option<f64>,
    #[serde(default)]
    items_per_cpu_second: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cross_validated_accuracy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model_megabytes: Option<f64>,
}

/// Measures and prints.
pub fn run(options: &Options, json: bool) -> Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its figures say nothing. Use cargo run --release");
    }
    let before = machine::load();
    let mut lines = Vec::new();
    for set in SETS.iter().filter(|set| options.only.as_ref().is_none_or(|only| set.name.contains(only.as_str()))) {
        let Some((learn, test, held_out)) = rows(&options.data, set)? else {
            eprintln!("bench: {} is not there", options.data.join(set.folder).display());
            continue;
        };
        eprintln!("bench: {}: {} rows to learn from, {} to ask ({held_out})", set.name, learn.len(), test.len());
        lines.push(ours(set, &learn, &test)?);
        if let Some(python) = &options.python {
            lines.extend(references(set, python, &learn, &test)?);
        }
        if !json {
            lines.iter().filter(|line| line.set == set.name).for_each(show);
        }
    }
    let load = serde_json::json!({ "before": before, "after": machine::load() });
    if json {
        println!("{}", serde_json::json!({ "lines": lines, "cores": machine::cores(), "load": load }));
    } else {
        println!("{} cores; load {load}", machine::cores());
    }
    Ok(())
}

fn show(line: &Line) {
    if let Some(missing) = &line.missing {
        println!("{:<20} {:<30} not measured: {missing}", line.set, line.tool);
        return;
    }
    println!(
        "{:<20} {:<30} accuracy {:.4}  macro-F1 {:.4}  training {:>6.1} CPU-s  {:>9.0} items/CPU-s{}",
        line.set,
        line.tool,
        line.accuracy,
        line.macro_f1,
        line.train_cpu_seconds,
        line.items_per_cpu_second,
        match (line.cross_validated_accuracy, line.train_seconds, line.model_megabytes) {
            (Some(accuracy), Some(seconds), Some(size)) =>
                format!("  (cross-validated {accuracy:.4}; {seconds:.1} s; {size:.1} MB)"),
            _ => String::new(),
        }
    );
}

/// Rows to learn from, rows to ask, and where those come from.
type Split = (Vec<Row>, Vec<Row>, &'static str);

/// Rows to learn from and to ask; `None` if the set is not there.
fn rows(data: &Path, set: &Set) -> Result<Option<Split>> {
    let folder = data.join(set.folder);
    if !folder.join("train").is_dir() {
        return Ok(None);
    }
    let learn = read(&folder.join("train"), set.label)?;
    let (mut learn, test, held_out) = if folder.join("heldout").is_dir() {
        (learn, read(&folder.join("heldout"), set.label)?, "the set's own held-out part")
    } else {
        let (test, learn) = learn.into_iter().partition(|(text, _)| place(text).is_multiple_of(5));
        (learn, test, "a fifth of the training rows, by a hash of the text")
    };
    if let Some(each) = set.each {
        learn.sort_by_key(|(text, _)| place(text));
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        learn.retain(|(_, label)| {
            let taken = taken.entry(label.clone()).or_default();
            *taken += 1;
            *taken <= each
        });
    }
    Ok(Some((learn, test, held_out)))
}

fn read(folder: &Path, label: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        let mut reader = csv::Reader::from_path(&path).with_context(|| format!("reading {}", path.display()))?;
        let header = reader.headers()?.clone();
        let at = |column: &str| {
            header.iter().position(|name| name == column).with_context(|| format!("{} in {}", column, path.display()))
        };
        let (text_at, label_at) = (at(TEXT)?, at(label)?);
        for record in reader.records() {
            let record = record?;
            if !record[label_at].is_empty() {
                rows.push((record[text_at].to_owned(), record[label_at].to_owned()));
            }
        }
    }
    Ok(rows)
}

/// FNV-1a with its bits mixed: where a row falls does not depend on its place in the file.
fn place(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn cpu() -> Result<Duration> {
    Ok(Usage::of(std::process::id())?.cpu)
}

fn ours(set: &Set, learn: &[Row], test: &[Row]) -> Result<Line> {
    let examples: Vec<Example<'_>> = learn.iter().map(|(text, label)| Example { subject: "", text, label }).collect();
    let plan = Plan {
        axis: "bench".into(),
        trained_on: String::new(),
        data: DataCard::default(),
        review_below: None,
        threads: machine::cores(),
    };
    let (begun, used) = (Instant::now(), cpu()?);
    let trained = train(&examples, plan, &|_, _| {})?;
    let (train_seconds, train_cpu) = (begun.elapsed(), cpu()?.saturating_sub(used));
    let model_megabytes = trained.bytes.len() as f64 / 1e6;
    let model = Model::open(trained.bytes)?;
    let mut room = Room::default();
    let mut given = Vec::new();
    let (mut asked, used) = (0usize, cpu()?);
    while asked == 0 || cpu()?.saturating_sub(used) < MEASURED {
        given.clear();
        given.extend(test.iter().map(|(text, _)| model.predict("", text, &mut room).label));
        asked += test.len();
    }
    let speed = asked as f64 / cpu()?.saturating_sub(used).as_secs_f64();
    let mut labels = model.card().labels.clone();
    let truths: Vec<usize> = test
        .iter()
        .map(|(_, label)| {
            labels.iter().position(|known| known == label).unwrap_or_else(|| {
                labels.push(label.clone());
                labels.len() - 1
            })
        })
        .collect();
    let mut confusion = Confusion::new(labels.len());
    for (truth, given) in truths.iter().zip(&given) {
        confusion.count(*truth, *given);
    }
    Ok(Line {
        set: set.name.to_owned(),
        tool: "outcry".to_owned(),
        missing: None,
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        train_cpu_seconds: train_cpu.as_secs_f64(),
        train_seconds: Some(train_seconds.as_secs_f64()),
        items_per_cpu_second: speed,
        cross_validated_accuracy: Some(trained.card.scores.accuracy),
        model_megabytes: Some(model_megabytes),
    })
}

fn references(set: &Set, python: &Path, learn: &[Row], test: &[Row]) -> Result<Vec<Line>> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, rows: &[Row]| -> Result<PathBuf> {
        let path = folder.path().join(name);
        let mut writer = csv::Writer::from_path(&path)?;
        writer.write_record([TEXT, "label"])?;
        rows.iter().try_for_each(|(text, label)| writer.write_record([text, label]))?;
        writer.flush()?;
        Ok(path)
    };
    let script = folder.path().join("reference.py");
    fs::write(&script, REFERENCE)?;
    let output = Command::new(python)
        .arg(&script)
        .args([write("learn.csv", learn)?, write("test.csv", test)?])
        .env("OMP_NUM_THREADS", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", python.display()))?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| {
            let line: Line = serde_json::from_str(line).context("reading what the reference measured")?;
            Ok(Line { set: set.name.to_owned(), ..line })
        })
        .collect()
}

//! `outcry evaluate`: how good a model is on labelled texts.

use crate::{
    cli::SummaryFormat,
    labelled::{Columns, Row, read},
};
use anyhow::bail;
use outcry_classifier::open_model;
use outcry_classify::model::{Confusion, Model, Prediction, Room, named, per_label};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long speed is measured at least; a small file is read several times.
const MEASURED: Duration = Duration::from_millis(300);

/// `outcry evaluate`.
#[derive(Debug, clap::Args)]
pub struct EvaluateArguments {
    /// A model made by `outcry train`.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Labelled texts: CSV with a header, or JSON lines.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Column with the text; the one of the training if not given.
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<String>,
    /// Column with the label; the one of the training if not given.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Column with the subject line; the one of the training if not given.
    #[arg(long, value_name = "COLUMN")]
    pub subject_column: Option<String>,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = SummaryFormat::Text)]
    pub format: SummaryFormat,
}

/// What came out.
struct Outcome {
    /// Labels of the model, then those that only the data have.
    labels: Vec<String>,
    confusion: Confusion,
    for_review: u64,
    right_above: u64,
    items_per_second: f64,
}

/// Evaluates and writes the outcome to standard output.
pub fn run(arguments: &EvaluateArguments) -> anyhow::Result<()> {
    let model = open_model(&arguments.model)?;
    let trained = &model.card().data;
    let subject = arguments.subject_column.as_deref().or(trained.subject_column.as_deref());
    let columns = Columns {
        text: arguments.text_column.as_deref().unwrap_or(&trained.text_column),
        label: arguments.label_column.as_deref().unwrap_or(&trained.label_column),
        subject,
    };
    let labelled = read(&arguments.data, &columns)?;
    for warning in &labelled.warnings {
        eprintln!("warning: {warning}");
    }
    let all = labelled.rows.len();
    let rows: Vec<Row> = labelled.rows.into_iter().filter(|row| !row.label.trim().is_empty()).collect();
    if rows.len() < all {
        eprintln!("warning: {} of {all} rows left away: no label", all - rows.len());
    }
    if rows.is_empty() {
        bail!("none of {all} rows has a label in the column {:?}: nothing to compare with", columns.label);
    }
    let outcome = evaluate(&model, &rows);
    let unknown = &outcome.labels[model.card().labels.len()..];
    if !unknown.is_empty() {
        eprintln!(
            "warning: {} labels of the data are unknown to the model and count as wrong: {unknown:?}",
            unknown.len()
        );
    }
    match arguments.format {
        SummaryFormat::Json => println!("{}", outcome.to_json()),
        SummaryFormat::Text => print!("{}", outcome.to_text()),
    }
    Ok(())
}

fn evaluate(model: &Model, rows: &[Row]) -> Outcome {
    let mut room = Room::default();
    let mut predictions: Vec<Prediction> = Vec::with_capacity(rows.len());
    let (begun, mut predicted) = (Instant::now(), 0);
    while predicted == 0 || begun.elapsed() < MEASURED {
        predictions.clear();
        predictions.extend(rows.iter().map(|row| model.predict(row.subject.trim(), row.text.trim(), &mut room)));
        predicted += rows.len();
    }
    let items_per_second = (predicted as f64 / begun.elapsed().as_secs_f64().max(f64::EPSILON)).round();
    let mut labels = model.card().labels.clone();
    let truths: Vec<usize> = rows
        .iter()
        .map(|row| {
            let label = row.label.trim();
            labels.iter().position(|known| known == label).unwrap_or_else(|| {
                labels.push(label.to_owned());
                labels.len() - 1
            })
        })
        .collect();
    let mut confusion = Confusion::new(labels.len());
    let (mut for_review, mut right_above) = (0, 0);
    for (truth, prediction) in truths.iter().zip(&predictions) {
        confusion.count(*truth, prediction.label);
        for_review += u64::from(prediction.needs_review);
        right_above += u64::from(!prediction.needs_review && prediction.label == *truth);
    }
    Outcome { labels, confusion, for_review, right_above, items_per_second }
}

impl Outcome {
    fn to_json(&self) -> Value {
        json!({
            "n": self.confusion.total(),
            "accuracy": rounded(self.confusion.accuracy()),
            "macro_f1": rounded(self.confusion.macro_f1()),
            "per_label": per_label(&self.confusion, &self.labels),
            "confusion": named(&self.confusion, &self.labels),
            "items_per_second": self.items_per_second,
        })
    }

    fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let total = self.confusion.total();
        let sure = total - self.for_review;
        let mut text = format!(
            "{total} texts: accuracy {:.4}, macro-F1 {:.4}, {:.0} texts/s on one core\n{} for review; of the other {sure} {:.4} \
             right\n",
            self.confusion.accuracy(),
            self.confusion.macro_f1(),
            self.items_per_second,
            self.for_review,
            self.right_above as f64 / sure.max(1) as f64
        );
        let width = self.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).clamp(5, 40);
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:<width$} {:>9} {:>7} {:>7} {:>7}", "label", "precision", "recall", "F1", "texts");
        for (label, score) in per_label(&self.confusion, &self.labels) {
            let _ = writeln!(
                text,
                "{label:<width$} {:>9.3} {:>7.3} {:>7.3} {:>7}",
                score.precision, score.recall, score.f1, score.support
            );
        }
        text
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

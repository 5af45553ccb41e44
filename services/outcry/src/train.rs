//! `outcry train`: labelled texts in, a model out.

use crate::{
    cli::WrongUsage,
    labelled::{Columns, read},
    progress::Progress,
};
use anyhow::Context as _;
use outcry_classify::model::{Card, DataCard, Example, Plan, Trained, train};
use std::{io::Write as _, num::NonZero, path::PathBuf, thread};

/// `outcry train`.
#[derive(Debug, clap::Args)]
pub struct TrainArguments {
    /// Labelled texts: CSV with a header (comma, semicolon or tab), or JSON lines.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Column with the text.
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    pub text_column: String,
    /// Column with the label.
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    pub label_column: String,
    /// Column with the subject line, if it stands apart from the text.
    #[arg(long, value_name = "COLUMN")]
    pub subject_column: Option<String>,
    /// Where to write the model.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What the labels speak of: `subcategory` (level 2), `kind`, `category`, `sentiment`, or a name of your own.
    #[arg(long, value_name = "NAME", default_value = "subcategory")]
    pub axis: String,
    /// Below this confidence an answer is for review, 0 to 1; 0.5 if not given: there an answer is as often wrong as right.
    #[arg(long, value_name = "SHARE")]
    pub review_below: Option<f32>,
}

/// Trains, writes the model and says how good it is.
pub fn run(arguments: &TrainArguments) -> anyhow::Result<()> {
    if arguments.review_below.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(WrongUsage("--review-below is a share from 0 to 1".into()).into());
    }
    if arguments.axis.is_empty() || !arguments.axis.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(WrongUsage("--axis is a name of letters, digits and `_`".into()).into());
    }
    let mut progress = Progress::new();
    progress.begin("reading", "reading the data");
    let columns = Columns {
        text: &arguments.text_column,
        label: &arguments.label_column,
        subject: arguments.subject_column.as_deref(),
    };
    let labelled = read(&arguments.data, &columns)?;
    for warning in &labelled.warnings {
        eprintln!("warning: {warning}");
    }
    let examples: Vec<Example<'_>> =
        labelled.rows.iter().map(|row| Example { subject: &row.subject, text: &row.text, label: &row.label }).collect();
    let plan = Plan {
        axis: arguments.axis.clone(),
        trained_on: today()?,
        data: DataCard {
            file: arguments.data.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            sha256: labelled.sha256.clone(),
            text_column: arguments.text_column.clone(),
            label_column: arguments.label_column.clone(),
            subject_column: arguments.subject_column.clone(),
            ..DataCard::default()
        },
        review_below: arguments.review_below,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
    };
    progress.begin("learning", "looking for the manner of learning that does best");
    let tell = |done: usize, of: usize| progress.say(&format!("tried {done} of {of}"));
    let trained = train(&examples, plan, &tell)?;
    progress.begin("writing", "writing the model");
    write(arguments, &trained.bytes)?;
    progress.finish();
    describe(&trained, &arguments.out);
    Ok(())
}

/// Today, or the day that `SOURCE_DATE_EPOCH` names, so that a model can be made again to the byte.
fn today() -> anyhow::Result<String> {
    let now = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => {
            let seconds: i64 = seconds.parse().context("SOURCE_DATE_EPOCH is a number of seconds")?;
            jiff::Timestamp::from_second(seconds).context("SOURCE_DATE_EPOCH is out of range")?
        }
        Err(_) => jiff::Timestamp::now(),
    };
    Ok(now.strftime("%Y-%m-%d").to_string())
}

/// Beside its place first: who has the old model mapped keeps it whole, and nobody ever sees half of the new one.
fn write(arguments: &TrainArguments, bytes: &[u8]) -> anyhow::Result<()> {
    let path = &arguments.out;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let doing = || format!("writing the model {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(doing)?;
    let file = file.persist(path).with_context(doing)?;
    share(&file).with_context(doing)
}

/// A temporary file is for its owner alone; a model is read by the service's user.
#[cfg(unix)]
fn share(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

fn describe(trained: &Trained, out: &std::path::Path) {
    for warning in warnings(trained) {
        eprintln!("warning: {warning}");
    }
    let Card { scores, manner, labels, data, .. } = &trained.card;
    eprintln!(
        "{}: {} labels from {} texts, {:.1} MB ({} n-grams; {}, cost {}, balance {}, emphasis {}; best of {})",
        out.display(),
        labels.len(),
        data.counts.used,
        trained.bytes.len() as f64 / 1e6,
        manner.features,
        manner.learner,
        manner.cost,
        manner.balance,
        manner.emphasis,
        manner.tried
    );
    eprintln!(
        "on texts it had not learnt from ({}-fold cross-validation): accuracy {:.3}, macro-F1 {:.3}, calibration error \
         {:.3}; {:.0} % for review, accuracy of the rest {:.3}",
        scores.parts,
        scores.accuracy,
        scores.macro_f1,
        scores.calibration_error,
        scores.review_share * 100.0,
        scores.accuracy_above_threshold
    );
}

fn warnings(trained: &Trained) -> Vec<String> {
    let counts = &trained.card.data.counts;
    let mut warnings: Vec<String> = [
        (counts.without_label, "rows left away: no label"),
        (counts.without_text, "rows left away: no text"),
        (counts.repeated, "rows left away: text and label stand in an earlier row"),
        (counts.contradicting, "rows have a text that stands under several labels; kept, and confidence suffers"),
        (counts.beyond_limit, "rows left away, of every label the same share: more than one training takes"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} of {} {what}", counts.rows))
    .collect();
    if !trained.rare_labels.is_empty() {
        let named =
            trained.rare_labels.iter().take(10).map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ");
        let more = trained.rare_labels.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let labels = trained.rare_labels.len();
        warnings
            .push(format!("{labels} labels left away, too few different examples to learn and check: {named}{more}"));
    }
    warnings
}

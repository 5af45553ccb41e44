//! `outcry classify`: text in, labels out; a line for a line, in order, on all cores.

use crate::cli::ClassifyArguments;
use anyhow::Context as _;
use outcry_classifier::open_model;
use outcry_classify::{
    Classifier, Input, Scratch,
    model::{Model, Room},
};
use serde::Deserialize;
use std::{
    borrow::Cow,
    io::{BufRead, BufReader, Read, Write},
    num::NonZero,
    path::Path,
    thread,
};

/// Lines that are taken in before the cores share them.
const LINES_A_ROUND: usize = 8192;
/// Bytes that are taken in before the cores share them.
const BYTES_A_ROUND: usize = 16 * 1024 * 1024;

/// A line of JSON.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    language: Option<Cow<'a, str>>,
}

/// How lines are read; the first one that is not empty decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Json,
    Text,
}

/// Streams from the file to standard output.
pub fn run(arguments: &ClassifyArguments) -> anyhow::Result<()> {
    if arguments.bundle.is_some() {
        anyhow::bail!("`outcry classify --bundle` is not built yet: leave it away for the built-in lexicons");
    }
    let source: Box<dyn Read> = if arguments.file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(&arguments.file).with_context(|| format!("opening {}", arguments.file.display()))?)
    };
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let model = arguments.model.as_deref().map(open_model).transpose()?;
    let labeller = Labeller { classifier: Classifier::builtin(), model };
    let outcome = stream(&labeller, BufReader::new(source), &mut output);
    match outcome.and_then(|bad| output.flush().context("writing the labels").map(|()| bad)) {
        Ok(0) => Ok(()),
        Ok(bad) => anyhow::bail!("{bad} lines are not JSON objects with a text; an error stands in their place"),
        Err(error) if is_closed_pipe(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// What gives labels.
struct Labeller {
    classifier: Classifier,
    model: Option<Model>,
}

/// Gives the number of lines that could not be read.
fn stream(labeller: &Labeller, mut input: impl BufRead, output: &mut impl Write) -> anyhow::Result<usize> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (mut mode, mut bad) = (None, 0);
    loop {
        let lines = read_round(&mut input)?;
        if lines.is_empty() {
            return Ok(bad);
        }
        let mode = *mode.get_or_insert_with(|| mode_of(&lines));
        let share = lines.len().div_ceil(cores).max(64);
        let written: Vec<(Vec<u8>, usize)> = thread::scope(|scope| {
            let workers: Vec<_> =
                lines.chunks(share).map(|chunk| scope.spawn(|| classify_lines(labeller, mode, chunk))).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for (bytes, failures) in written {
            output.write_all(&bytes).context("writing the labels")?;
            bad += failures;
        }
        // Someone who types at a terminal, or pipes one line at a time, sees each answer.
        output.flush().context("writing the labels")?;
    }
}

/// As many whole lines as are there, up to a bound; at least one unless the input has ended.
fn read_round(input: &mut impl BufRead) -> anyhow::Result<Vec<Vec<u8>>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < LINES_A_ROUND && bytes < BYTES_A_ROUND {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).context("reading the text")? == 0 {
            break;
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        bytes += line.len();
        lines.push(line);
        // What else is buffered costs no wait; what is not might.
        if !input.fill_buf().is_ok_and(|rest| rest.contains(&b'\n')) && lines.len() >= 512 {
            break;
        }
    }
    Ok(lines)
}

fn mode_of(lines: &[Vec<u8>]) -> Mode {
    let first = lines.iter().find(|line| !line.is_empty());
    let json = first.is_some_and(|line| serde_json::from_slice::<Line<'_>>(line).is_ok());
    if json { Mode::Json } else { Mode::Text }
}

fn classify_lines(labeller: &Labeller, mode: Mode, lines: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let (mut output, mut scratch, mut bad) = (Vec::with_capacity(lines.len() * 512), Scratch::default(), 0);
    let mut room = Room::default();
    for line in lines {
        let plain = String::from_utf8_lossy(line);
        let parsed = match mode {
            Mode::Text => Ok(Line { text: plain, subject: None, language: None }),
            Mode::Json => serde_json::from_slice(line),
        };
        let written = match parsed {
            Ok(line) => {
                let input = Input {
                    subject: line.subject.as_deref().unwrap_or_default(),
                    language_hint: line.language.as_deref(),
                    ..Input::new(&line.text)
                };
                let mut classification = labeller.classifier.classify_with(&input, &mut scratch);
                if let Some(model) = &labeller.model {
                    model.speak(&input, &mut classification, &mut room);
                }
                serde_json::to_writer(&mut output, &classification)
            }
            Err(error) => {
                bad += 1;
                let place = format!("not a JSON object with a text (column {})", error.column());
                serde_json::to_writer(&mut output, &serde_json::json!({ "error": place }))
            }
        };
        // Writing to memory does not fail, and our own types have text as keys.
        debug_assert!(written.is_ok());
        output.push(b'\n');
    }
    (output, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(input: &[u8]) -> (Vec<serde_json::Value>, usize) {
        let mut output = Vec::new();
        let labeller = Labeller { classifier: Classifier::builtin(), model: None };
        let bad = stream(&labeller, input, &mut output).unwrap();
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), bad)
    }

    #[test]
    fn a_line_for_a_line_in_order() {
        let input: String =
            (0..3000).map(|number| format!("The parcel never came, {} times\n", "late ".repeat(number % 3))).collect();
        let (lines, bad) = classify(input.as_bytes());
        assert_eq!((lines.len(), bad), (3000, 0));
        assert_eq!(lines[0], lines[3]);
        for axis in ["kind", "category", "urgency", "sentiment", "language"] {
            assert!(lines[0][axis]["label"].is_string() && lines[0][axis]["confidence"].is_number(), "{axis}");
        }
    }

    #[test]
    fn a_bad_line_of_json_keeps_its_place() {
        let (lines, bad) = classify(b"{\"text\":\"hello\"}\n{\"txt\":1}\n{\"text\":\"again\"}\n");
        assert_eq!((lines.len(), bad), (3, 1));
        assert!(lines[1]["error"].is_string());
    }

    #[test]
    fn any_bytes_are_text() {
        let (lines, bad) = classify(b"\xff\xfe\n\n\0\n");
        assert_eq!((lines.len(), bad), (3, 0));
    }
}

//! Faults that are injected without servers, by the crates that own the code: the spool's model (F13), the sink's seeded
//! simulator (F16). They run as tests; here they are one line of the table.

use crate::report::Row;
use anyhow::{Context, Result};
use std::process::{Command, Stdio};

/// F13.
pub fn f13(cases: u64) -> Result<Row> {
    let what = "spool: killed while appending, torn, flipped bits";
    run("F13", what, cases, ["outcry-webhook", "spool::"], ("PROPTEST_CASES", cases))
}

/// F16.
pub fn f16(seeds: u64) -> Result<Row> {
    let what = "the sink's decisions in seeded histories";
    run("F16", what, seeds, ["outcry-sink", "core::"], ("OUTCRY_SIMULATION_SEEDS", seeds))
}

fn run(id: &str, what: &'static str, rounds: u64, [package, filter]: [&str; 2], variable: (&str, u64)) -> Result<Row> {
    eprintln!("faults: {id}: {what}: {rounds} histories");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "-p", package, "--lib", filter]).env(variable.0, variable.1.to_string());
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("starting cargo test")?;
    let mut row = Row { id: id.to_owned(), what, rounds, ..Row::default() };
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.lines().any(|line| line.starts_with("test result: ok") && !line.contains(" 0 passed"));
    if !output.status.success() || !ran {
        eprintln!("{said}");
        row.problems.push(format!("cargo test -p {package} {filter} did not pass ({})", output.status));
    }
    Ok(row)
}

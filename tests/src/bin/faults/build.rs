//! Builds what is started: the services as they are, and the sink with failpoints and controls beside them.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

const PACKAGES: [&str; 6] = [
    "outcry-sandbox",
    "outcry-classifier",
    "outcry-sink",
    "outcry-phone-connector",
    "outcry-email-connector",
    "outcry-social-connector",
];

/// What is started, in the profile that this program was built in.
pub fn services() -> Result<()> {
    let packages: Vec<&str> = PACKAGES.iter().flat_map(|package| ["-p", package]).collect();
    cargo("the services", &[&packages[..], &["--bins"]].concat())
}

/// The sink with failpoints and controls. It is an example: the binary `outcry-sink` beside it stays as it is.
pub fn faulty_sink() -> Result<()> {
    let features = ["-p", "outcry-sink", "--example", "faulty_sink", "--features", "failpoints,controls"];
    cargo("the sink with failpoints", &features)
}

fn cargo(what: &str, arguments: &[&str]) -> Result<()> {
    eprintln!("faults: building {what}");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("build").args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stdout(Stdio::null());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().context("starting cargo")?;
    if !status.success() {
        bail!("{what} does not build ({status})");
    }
    Ok(())
}

//! The classifier's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("classifier", outcry_classifier::run)
}

//! The notifier as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("notifier", outcry_notifier::run)
}

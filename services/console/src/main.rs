//! The console as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("console", outcry_console::run)
}

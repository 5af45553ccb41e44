//! The sink's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("sink", outcry_sink::run)
}

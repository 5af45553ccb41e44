//! The social-connector as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("social-connector", outcry_social_connector::run)
}

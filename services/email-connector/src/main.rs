//! The email-connector as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("email-connector", outcry_email_connector::run)
}

//! The phone connector as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    outcry_runtime::main("phone-connector", outcry_phone_connector::run)
}

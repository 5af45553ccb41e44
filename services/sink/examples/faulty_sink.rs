//! The sink with its failpoints and negative controls switched on, for the fault harness (`outcry-tests`, binary `faults`).
//! It is an example with required features, so that no build of the binaries makes it, and making it changes none of them.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Reads FAILPOINTS.
    let _scenario = fail::FailScenario::setup();
    outcry_runtime::main("sink", outcry_sink::run)
}

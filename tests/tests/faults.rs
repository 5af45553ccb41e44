//! The fault matrix in brief, on every change: the sink killed at its steps, ClickHouse killed, answers lost, a zombie, a
//! mail server that misbehaves, a mailbox whose reader is killed, and a wrong way to write that must be seen. The whole of it: `cargo run --release -p outcry-tests --bin faults`.

use std::process::Command;

#[test]
fn nothing_is_lost_or_doubled_under_faults_and_a_wrong_sink_is_seen() {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_faults"));
    // The services are built by whoever runs the tests, as for every other test of this crate.
    harness.args([
        "--only",
        "F1,F2,F6,F7,F14,mailbox,commit-first",
        "--rounds",
        "brief",
        "--at-once",
        "4",
        "--format",
        "json",
        "--no-build",
    ]);
    // A server of the caller's is not for faults.
    for name in ["OUTCRY_TEST_STACK", "OUTCRY_KAFKA__BOOTSTRAP_SERVERS", "OUTCRY_CLICKHOUSE__URL"] {
        harness.env_remove(name);
    }
    let output = harness.output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{told}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    for row in report["faults"].as_array().unwrap() {
        let wrong = ["lost", "doubled", "physical_duplicates"].map(|what| row[what].as_u64().unwrap());
        assert_eq!(wrong, [0, 0, 0], "{row}");
        assert!(row["acknowledged"].as_u64().unwrap() > 500, "hardly anything was sent: {row}");
        assert!(row["heal_seconds"].as_f64().unwrap() < 60.0, "{row}");
    }
    assert_eq!(report["faults"].as_array().unwrap().len(), 6, "{report}");
    assert!(report["controls"][0]["lost"].as_u64().unwrap() > 0, "{report}");
}

//! A CDR file that a PBX has left, followed by the connector: rows a second, and CPU time for each million of them.

use crate::figures::{Figures, between, usage};
use anyhow::{Context, Result, ensure};
use outcry_kafka::{Topic, group_positions};
use outcry_sandbox::Stack;
use outcry_tests::{Pipeline, machine};
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// Of `bench cdr`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Records in the file.
    #[arg(long, default_value_t = 500_000)]
    rows: u64,
}

/// Measures.
pub async fn run(stack: &Stack, options: &Options) -> Result<Figures> {
    let file = tempfile::NamedTempFile::new().context("making a CDR file")?;
    let sections = format!(
        "[phone]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1\"\nspool_dir = \"{{folder}}/spool\"\n\n\
         [[phone.accounts]]\nname = \"pbx\"\nbrand = \"acme\"\nprovider = \"asterisk\"\nregion = \"IT\"\ncdr_file = {:?}\n",
        file.path()
    );
    let mut pipeline = Pipeline::prepare_for_benchmark(stack, &sections).await?;
    let load_before = machine::load();
    pipeline.start(&["outcry-phone-connector"]).await?;
    eprintln!("bench: writing {} records", options.rows);
    let text = records(options.rows);
    let used_before = usage(stack, &pipeline)?;
    let begun = Instant::now();
    std::fs::write(file.path(), text).context("writing the CDR file")?;
    let mut done = 0;
    while done < options.rows {
        ensure!(begun.elapsed() < Duration::from_secs(300), "only {done} records became items in five minutes");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let positions = group_positions(&pipeline.kafka(), "nobody", Topic::ItemsRaw).await?;
        done = positions.values().map(|position| position.end.unsigned_abs()).sum();
    }
    let elapsed = begun.elapsed();
    let mut processes = between(&used_before, usage(stack, &pipeline)?);
    processes.remove("clickhouse");
    Ok(Figures { items: options.rows, elapsed, processes, load: [load_before, machine::load()], ..Figures::default() })
}

/// Lines as `cdr_csv` writes them, of many customers.
fn records(count: u64) -> String {
    let mut text = String::with_capacity(count as usize * 260);
    for number in 0..count {
        let (minute, second, customer) = (number / 60 % 60, number % 60, number * 7919 % 90_000);
        let _ = writeln!(
            text,
            "\"\",\"+3902{:08}\",\"39021111111\",\"from-trunk\",\"\"\"Caller\"\" <+3902{:08}>\",\"SIP/trunk-{number:08x}\",\"SIP/{}-{number:08x}\",\
             \"Queue\",\"care,t\",\"2026-03-01 10:{minute:02}:{second:02}\",\"2026-03-01 10:{minute:02}:{second:02}\",\
             \"2026-03-01 11:{minute:02}:{second:02}\",3600,3600,\"ANSWERED\",\"DOCUMENTATION\",\"1772355600.{number}\",\"\",\"\",\
             \"1772355600.{number}\",{number}",
            12_000_000 + customer,
            12_000_000 + customer,
            200 + number % 50
        );
    }
    text
}

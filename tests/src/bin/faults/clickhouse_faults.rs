//! ClickHouse killed: at any time, and at the very moment when a part gets its name (F2).

use crate::{load::LoadOptions, report::Row, sink::SinkOptions, trial::Trial, world::World};
use anyhow::{Context, Result};
use outcry_sandbox::process::ServerProcess;
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Whether strace can be used here.
pub fn has_strace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// SIGKILL as the server enters its `nth` rename(2) from now: a part is on disk and not yet in the table. `false` if the
/// server did not come so far in time; it is killed then too.
pub async fn kill_at_rename(world: &World, nth: u64) -> Result<bool> {
    let server = world.clickhouse()?;
    let pid = server.pid().context("ClickHouse does not run")?.to_string();
    let log = world.stack.data_dir().join("strace.log");
    let tracer = ServerProcess::new("strace", log, move || {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2", "-p", &pid, "-e"]);
        command.arg(format!("inject=rename,renameat,renameat2:signal=SIGKILL:when={nth}"));
        command
    });
    tracer.start()?;
    let begun = Instant::now();
    // It ends with what it traces.
    while tracer.exited().is_none() && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let reached = tracer.exited().is_some();
    server.kill();
    Ok(reached)
}

/// F2.
pub async fn f2(world: &World) -> Result<Row> {
    let (at_rename, random) = (world.rounds.of(2, 8, 50), world.rounds.of(3, 20, 750));
    let mut trial = Trial::prepare(world, "F2", "ClickHouse killed, at rename(2) and at any time", "").await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions::default())?;
    let at_rename = if has_strace() { at_rename } else { 0 };
    if at_rename == 0 {
        trial.row.notes.push("strace is not installed: no kill was aimed at rename(2)".into());
    }
    for round in 1..=at_rename + random {
        let aimed = round <= at_rename;
        trial.progress(round, at_rename + random, if aimed { "killed at rename(2)" } else { "killed at any time" });
        if aimed {
            let nth = 1 + trial.random.below(6);
            if !kill_at_rename(world, nth).await? {
                trial.row.notes.push("a rename(2) did not come in time; killed all the same".into());
            }
        } else {
            let pause = trial.random.milliseconds(200, 1500);
            tokio::time::sleep(pause).await;
            world.clickhouse()?.kill();
        }
        let down = trial.random.milliseconds(0, 400);
        tokio::time::sleep(down).await;
        world.clickhouse()?.restart().await?;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = at_rename + random;
    trial.finish(&[&sink]).await
}

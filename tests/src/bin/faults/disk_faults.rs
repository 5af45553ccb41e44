//! Disks that are full (F11): ClickHouse's, the broker's, and the one that webhooks are spooled to.

use crate::{
    check,
    door::Door,
    load::LoadOptions,
    report::Row,
    service_faults::{CLASSIFIER, PHONE, raw},
    sink::SinkOptions,
    trial::Trial,
    world::World,
};
use anyhow::{Context, Result, bail};
use outcry_tests::phone::PhoneFront;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// A disk that can be filled; it is gone with this.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// A tmpfs of this size on a new folder.
    pub fn mount(path: &Path, megabytes: u32) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).status();
        if !mounted.context("running mount")?.success() {
            bail!("a tmpfs cannot be mounted on {}: F11 needs root", path.display());
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = std::fs::File::create(self.ballast()).context("making the ballast")?;
        let piece = vec![0_u8; 64 * 1024];
        while ballast.write_all(&piece).is_ok() {}
        while ballast.write_all(&piece[..512]).is_ok() {}
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("removing the ballast")
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there loses it with the process.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

const WHAT: &str = "full disks: ClickHouse's, the broker's, the spool's";
/// Within which the broker notices that its disk is full, while records keep coming.
const NOTICED: Duration = Duration::from_secs(30);

/// F11.
pub async fn f11(world: &World) -> Result<Row> {
    let mut row = clickhouse_full(world).await?;
    row.add(broker_full(world).await?);
    row.add(spool_full(world).await?);
    Ok(row)
}

async fn clickhouse_full(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 1, 10);
    // Servers of its own, whose ClickHouse lies on a disk of 400 MB.
    let small = World::start_on(world.seed, world.rounds, Some(("clickhouse", 400))).await?;
    let mut trial = Trial::prepare(&small, "F11", WHAT, "").await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(LoadOptions::default())?;
    let disk = small.disk.as_ref().context("this world has no small disk")?;
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_secs(2)).await;
        trial.progress(round, rounds, "ClickHouse's disk is full");
        disk.fill()?;
        let lasting = trial.random.milliseconds(4_000, 9_000);
        tokio::time::sleep(lasting).await;
        trial.progress(round, rounds, "there is room again");
        disk.free()?;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds;
    let row = trial.finish(&[&sink]).await?;
    drop(sink);
    small.stack.stop().await;
    Ok(row)
}

/// A broker whose disk is full ends itself; whoever runs it starts it again when there is room.
async fn broker_full(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 1, 10);
    let small = World::start_on(world.seed, world.rounds, Some(("kafka", 300))).await?;
    let mut trial = Trial::prepare(&small, "F11", WHAT, "").await?;
    trial.pipeline.start(&[CLASSIFIER]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    trial.begin_load(raw(400))?;
    let disk = small.disk.as_ref().context("this world has no small disk")?;
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_secs(2)).await;
        trial.progress(round, rounds, "the broker's disk is full");
        disk.fill()?;
        let begun = Instant::now();
        while small.kafka()?.exited().is_none() && begun.elapsed() < NOTICED {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ended = small.kafka()?.exited().is_some();
        trial.progress(round, rounds, if ended { "the broker ended" } else { "the broker stands still; killed" });
        let lasting = trial.random.milliseconds(1_000, 4_000);
        tokio::time::sleep(lasting).await;
        disk.free()?;
        small.kafka()?.restart().await?;
        trial.recovered_since(Instant::now()).await?;
    }
    trial.row.rounds = rounds;
    let row = trial.finish(&[&sink]).await?;
    drop(sink);
    small.stack.stop().await;
    Ok(row)
}

async fn spool_full(world: &World) -> Result<Row> {
    let rounds = world.rounds.of(1, 1, 10);
    let front = PhoneFront::new()?;
    let folder = tempfile::tempdir().context("making a folder for the spool")?;
    let spool = SmallDisk::mount(folder.path(), 1)?;
    let sections = front.sections().replace("{folder}/spool", &folder.path().display().to_string());
    let mut trial = Trial::prepare(world, "F11", WHAT, &sections).await?;
    trial.pipeline.start(&[CLASSIFIER, PHONE]).await?;
    let sink = trial.sink(SinkOptions::real("one"))?;
    sink.ready().await?;
    let door = Door::open(&front, 100);
    for round in 1..=rounds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.progress(round, rounds, "the broker is silent, the spool's disk fills");
        world.kafka()?.stop_process()?;
        let begun = Instant::now();
        let refused = door.refused();
        while door.refused() < refused + 20 && begun.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let full = door.refused() >= refused + 20;
        trial.progress(round, rounds, &format!("{} accepted, {} refused", door.accepted(), door.refused()));
        world.kafka()?.continue_process()?;
        if !full {
            trial.row.notes.push("the spool's disk was not filled within a minute".into());
        }
        trial.pipeline.service(PHONE).wait_ready(Duration::from_secs(60)).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    trial.row.rounds = rounds;
    let accepted = door.close().await?;
    check::calls(&trial.pipeline, &accepted, &mut trial.row).await?;
    let row = trial.finish(&[&sink]).await?;
    drop(spool);
    Ok(row)
}

//! `outcry demo`: the pipeline, a sample through every front door, and what came of it.

mod deliver;
mod settings;
mod summary;
mod verify;

use crate::{
    cli::{ConfigFiles, DemoArguments, SummaryFormat},
    configs,
    local::{LocalConfig, Role},
    migrate,
    progress::Progress,
    query,
    sample::{PostKind, Sample},
    services::Services,
};
use anyhow::Context as _;
use outcry_runtime::{CancellationToken, Clock, Context, SystemClock, until_signal};
use outcry_sandbox::{Stack, StackOptions};
use outcry_warehouse::Warehouse;
use std::time::{Duration, Instant};
use summary::Summary;
use verify::{Found, Ledger};

/// After this long something is missing.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs it; fails when anything that was sent is neither stored nor in dead letters.
pub async fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    let temporary;
    let folder = match &arguments.data_dir {
        Some(folder) => std::path::absolute(folder).context("finding the data folder")?,
        None => {
            temporary =
                tempfile::Builder::new().prefix("outcry-demo-").tempdir().context("making a temporary folder")?;
            temporary.path().to_owned()
        }
    };
    let mut progress = Progress::new();
    progress.begin("start", "starting Kafka, ClickHouse and Dovecot");
    let stack = Stack::start(StackOptions::in_dir(&folder).with_dovecot()).await?;
    let doors = settings::Doors::open(&folder)?;
    let local = LocalConfig::write(&stack, &folder, &settings::pipeline(&stack, &doors, &folder)?, &[])?;
    let basics = configs::basics(&ConfigFiles { files: local.files(Role::Migrator) })?;

    progress.begin("migrate", "creating topics and tables");
    migrate::apply(&basics.kafka, &basics.clickhouse, false).await?;

    progress.begin("services", "starting the services");
    let context = Context::new(CancellationToken::new());
    let mut services = Services::start(&local, &context)?;
    until_ready(&context, &mut services).await?;

    let warehouse =
        Warehouse::connect(&configs::analyst(&ConfigFiles { files: vec![local.analyst_file()] })?.clickhouse)?;
    let outcome = tokio::select! {
        error = services.failure() => Err(error),
        outcome = send_and_watch(&stack, &doors, &warehouse, progress) => outcome,
    };
    let outcome = match outcome {
        Ok(summary) => show(&summary, arguments, &local, &doors).await.map(|()| summary.ok),
        Err(error) => Err(error),
    };
    let stopped = services.stop().await;
    stack.stop().await;
    let ok = outcome?;
    stopped?;
    anyhow::ensure!(ok, "not everything that was sent was found; see the summary");
    Ok(())
}

async fn until_ready(context: &Context, services: &mut Services) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    // What is sent to a door that is not open yet is refused: every service must have told of itself.
    let doors = ["webhooks", "console", "consumer sink", "consumer classifier", "consumer notifier"];
    while !doors.iter().all(|door| context.health.knows(door)) || !context.health.problems().is_empty() {
        anyhow::ensure!(Instant::now() < deadline, "the services are not ready: {:?}", context.health.problems());
        tokio::select! {
            error = services.failure() => return Err(error),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
    Ok(())
}

async fn send_and_watch(
    stack: &Stack,
    doors: &settings::Doors,
    warehouse: &Warehouse,
    mut progress: Progress,
) -> anyhow::Result<Summary> {
    let sample = Sample::load(SystemClock.now());
    progress.begin("send", "appending mail, calling webhooks, posting mentions");
    let mut posts = deliver::Posts::new(&doors.mastodon);
    posts.apply(&sample, |kind| matches!(kind, PostKind::Mention | PostKind::OwnReply))?;
    let ledger = Ledger::of(&sample, posts.ids());
    let (mails, calls) = tokio::join!(
        deliver::mails(stack.dovecot()?, &sample),
        deliver::calls(&doors.phone_url, &doors.secret, &sample)
    );
    mails?;
    calls?;

    progress.begin("process", "waiting until everything can be queried");
    wait(warehouse, &ledger, &progress, |found| found.missing_before_changes(&ledger) == 0).await?;
    posts.apply(&sample, |kind| matches!(kind, PostKind::Edit | PostKind::Delete))?;
    progress.begin("changes", "an edit and a deletion on the network");
    wait(warehouse, &ledger, &progress, |found| found.missing(&ledger) == 0).await?;

    progress.begin("acknowledge", "waiting for the last acknowledgement");
    let mut acknowledgements = stack.smtp().received().len();
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_millis(1500) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = stack.smtp().received().len();
        if now != acknowledgements {
            (acknowledgements, quiet_since) = (now, Instant::now());
        }
    }
    progress.begin("reports", "asking ClickHouse");
    let found = Found::read(warehouse).await?;
    let mut summary = Summary::read(warehouse, &sample, &ledger, &found, acknowledgements).await?;
    summary.seconds = progress.finish();
    Ok(summary)
}

/// Until the condition holds, or patience ends; the summary then says what is missing.
async fn wait(
    warehouse: &Warehouse,
    ledger: &Ledger,
    progress: &Progress,
    done: impl Fn(&Found) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = Found::read(warehouse).await?;
        if done(&found) || Instant::now() > deadline {
            return Ok(());
        }
        progress.say(&format!("{} of {} facts can be queried", found.facts(), ledger.facts()));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn show(
    summary: &Summary,
    arguments: &DemoArguments,
    local: &LocalConfig,
    doors: &settings::Doors,
) -> anyhow::Result<()> {
    match arguments.format {
        SummaryFormat::Json => query::print(&serde_json::to_string(&summary.json())?)?,
        SummaryFormat::Text => query::print(&summary.text(&doors.console_url, &local.analyst_file()))?,
    }
    if arguments.exit {
        return Ok(());
    }
    eprintln!("The pipeline stays up; Ctrl-C ends it.");
    until_signal().await.context("listening for Ctrl-C")
}

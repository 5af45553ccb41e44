//! `outcry-sandbox serve`: a local stack for several test processes. `outcry-sandbox clickhouse-server`: the child
//! process that hosts the ClickHouse library.

use std::process::ExitCode;

use outcry_sandbox::{Stack, StackOptions, clickhouse_server};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: outcry-sandbox serve --data-dir DIR [--no-stdin]
       starts Kafka, ClickHouse, Dovecot and SMTP, writes DIR/stack.json, prints it, and ends with SIGTERM or when
       stdin closes (not with --no-stdin). Tests use it when OUTCRY_TEST_STACK=DIR/stack.json";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("clickhouse-server") => clickhouse_server::serve(arguments),
        Some("serve") => match data_dir(&arguments.collect::<Vec<_>>()) {
            Some((dir, watch_stdin)) => serve(&dir, watch_stdin),
            None => return usage(),
        },
        _ => return usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outcry-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn data_dir(arguments: &[String]) -> Option<(String, bool)> {
    match arguments {
        [flag, dir] if flag == "--data-dir" => Some((dir.clone(), true)),
        [flag, dir, no_stdin] if flag == "--data-dir" && no_stdin == "--no-stdin" => Some((dir.clone(), false)),
        _ => None,
    }
}

#[tokio::main]
async fn serve(dir: &str, watch_stdin: bool) -> outcry_sandbox::Result<()> {
    let stack = Stack::start(StackOptions::in_dir(dir).with_dovecot()).await?;
    let printed = std::fs::read_to_string(stack.data_dir().join("stack.json")).unwrap_or_default();
    println!("{printed}");
    let ended_by = |kind| async move {
        match signal(kind) {
            Ok(mut received) => received.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let stdin_closed = async {
        let mut ignored = [0_u8; 1024];
        let mut stdin = tokio::io::stdin();
        while watch_stdin && stdin.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
        if !watch_stdin {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = ended_by(SignalKind::terminate()) => {}
        _ = ended_by(SignalKind::interrupt()) => {}
        () = stdin_closed => {}
    }
    stack.stop().await;
    // The thread that reads stdin cannot be interrupted; everything of ours has ended.
    std::process::exit(0)
}

//! Where `deploy/local/fetch` puts things, by the same rule: `${OUTCRY_CACHE:-${XDG_CACHE_HOME:-~/.cache}/outcry}`.

use std::path::{Path, PathBuf};

use crate::error::{Doing, Result, SandboxError};

/// The pinned version of Apache Kafka; `deploy/local/fetch` fetches the same.
pub const KAFKA_VERSION: &str = "4.1.0";
/// The pinned version of the chdb package; `deploy/local/fetch` fetches the same.
pub const CHDB_VERSION: &str = "26.7.3-stable.1";

const FETCH: &str = "run deploy/local/fetch";

/// The cache folder shared with `deploy/local/fetch`.
pub fn cache_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = set("OUTCRY_CACHE") {
        return cache;
    }
    let base =
        set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_else(|| PathBuf::from(".")).join(".cache"));
    base.join("outcry")
}

/// The folder with the jars of Kafka.
///
/// # Errors
/// `Missing` when they were never fetched.
pub fn kafka_libs() -> Result<PathBuf> {
    let libs = cache_dir().join(format!("kafka-{KAFKA_VERSION}")).join("libs");
    let jar = libs.join(format!("kafka_2.13-{KAFKA_VERSION}.jar"));
    present(&jar, "Apache Kafka").map(|()| libs)
}

/// The ClickHouse engine as a shared library.
///
/// # Errors
/// `Missing` when it was never fetched.
pub fn chdb_library() -> Result<PathBuf> {
    let library = cache_dir().join(format!("chdb-{CHDB_VERSION}")).join("libchdb.so");
    present(&library, "the ClickHouse library").map(|()| library)
}

/// A program on `PATH`, or in the places where Debian keeps daemons.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Like [`program`], with an error that says which package has it.
///
/// # Errors
/// `Missing` when no folder of `PATH` has it.
pub fn required_program(name: &str, package: &str) -> Result<PathBuf> {
    program(name).ok_or_else(|| SandboxError::Missing {
        what: format!("the program `{name}`"),
        remedy: format!("{FETCH} (it installs the Debian package {package} when root)"),
    })
}

/// The program that can act as `clickhouse-server`: this one, or its neighbour in the target folder.
///
/// # Errors
/// `Missing` when neither `outcry-sandbox` nor `outcry` was built.
pub fn clickhouse_host_program() -> Result<PathBuf> {
    let own = std::env::current_exe().while_doing("finding the path of this program")?;
    let is_host = own.file_stem().is_some_and(|stem| stem == "outcry" || stem == "outcry-sandbox");
    if is_host {
        return Ok(own);
    }
    let beside = own.parent();
    let above = beside.and_then(Path::parent);
    let found = [beside, above]
        .into_iter()
        .flatten()
        .flat_map(|folder| [folder.join("outcry-sandbox"), folder.join("outcry")])
        .find(|candidate| candidate.is_file());
    found.ok_or_else(|| SandboxError::Missing {
        what: format!("the program `outcry-sandbox` beside {}", own.display()),
        remedy: "run `cargo build -p outcry-sandbox` (it hosts the ClickHouse library)".to_owned(),
    })
}

fn present(file: &Path, what: &str) -> Result<()> {
    if file.is_file() {
        return Ok(());
    }
    Err(SandboxError::Missing { what: format!("{what} ({})", file.display()), remedy: FETCH.to_owned() })
}

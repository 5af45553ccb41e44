//! A real ClickHouse server as a child process: the `clickhouse` program if it is on `PATH`, else the engine of the
//! pinned `libchdb.so` (see [`crate::clickhouse_server`]). Users and grants: [`crate::clickhouse_config`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clickhouse_config::{ClickHousePasswords, config_xml, users_xml};
use crate::clickhouse_server::ServeArguments;
use crate::error::{Doing, Result, SandboxError};
use crate::places;
use crate::ports::{free_port_like, remember, remembered};
use crate::process::ServerProcess;

/// How the server is started.
#[derive(Debug, Clone)]
pub struct ClickHouseOptions {
    /// Passwords of the three users; random when absent. A folder with data keeps the passwords it began with.
    pub passwords: Option<ClickHousePasswords>,
    /// The program to spawn for the library, called as `PROGRAM clickhouse-server …`; default: see [`places::clickhouse_host_program`].
    pub host_program: Option<PathBuf>,
    /// Which tables (usually views) of each database the analyst may read; `*` only at the end.
    pub analyst_tables: Vec<String>,
    /// Limit of the server's memory in MiB.
    pub memory_mib: u64,
    /// How long to wait for the first answer.
    pub patience: Duration,
}

impl Default for ClickHouseOptions {
    fn default() -> Self {
        Self {
            passwords: None,
            host_program: None,
            // The views of `outcry_warehouse::ANALYST_VIEWS`, which this crate may not depend on, and any test's own `v_…`.
            analyst_tables: ["v_*", "items", "contacts", "calls", "cases", "case_events", "coverage", "dead_letters"]
                .map(str::to_owned)
                .to_vec(),
            memory_mib: 4096,
            patience: Duration::from_secs(60),
        }
    }
}

/// The running server. Dropping it kills it.
#[derive(Debug)]
pub struct ClickHouseServer {
    process: ServerProcess,
    endpoint: ClickHouseEndpoint,
    tcp_port: u16,
    patience: Duration,
}

/// Where a ClickHouse answers HTTP, and as whom.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ClickHouseEndpoint {
    /// `http://host:port`.
    pub url: String,
    /// The passwords of its three users.
    pub passwords: ClickHousePasswords,
}

/// Killed, frozen and asked for its pid as any server is.
impl std::ops::Deref for ClickHouseServer {
    type Target = ServerProcess;

    fn deref(&self) -> &ServerProcess {
        &self.process
    }
}

impl ClickHouseServer {
    /// Starts a server with its data in `dir`; existing data, ports and passwords are kept.
    ///
    /// # Errors
    /// When neither program nor library is there (it says what to run), or it does not answer in time (with its log).
    pub async fn start(dir: &Path, options: ClickHouseOptions) -> Result<Self> {
        let data = dir.join("data");
        std::fs::create_dir_all(&data).doing("creating", &data)?;
        let dir = dir.canonicalize().doing("resolving", dir)?;
        let http_port = free_port_like(remembered(&dir, "http"))?;
        let tcp_port = free_port_like(remembered(&dir, "tcp"))?;
        remember(&dir, &[("http", http_port), ("tcp", tcp_port)])?;
        let passwords = passwords_of(&dir, options.passwords)?;

        let program = places::program("clickhouse");
        let ports = program.as_ref().map(|_| (http_port, tcp_port));
        write_private(&dir.join("config.xml"), &config_xml(&dir, options.memory_mib, ports))?;
        write_private(&dir.join("users.xml"), &users_xml(&passwords, &options.analyst_tables, program.is_none()))?;

        let launch = match program {
            Some(program) => Launch {
                program,
                arguments: vec!["server".to_owned(), format!("--config-file={}", dir.join("config.xml").display())],
            },
            None => library_launch(&dir, options.host_program, http_port, tcp_port)?,
        };
        let work = dir.clone();
        let process = ServerProcess::new("ClickHouse", dir.join("process.log"), move || {
            let mut command = Command::new(&launch.program);
            command.args(&launch.arguments).current_dir(&work);
            command
        });
        let endpoint = ClickHouseEndpoint { url: format!("http://127.0.0.1:{http_port}"), passwords };
        let server = Self { process, endpoint, tcp_port, patience: options.patience };
        server.restart().await?;
        Ok(server)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// The port of the native protocol.
    pub fn tcp_port(&self) -> u16 {
        self.tcp_port
    }

    /// Address and passwords together.
    pub fn endpoint(&self) -> &ClickHouseEndpoint {
        &self.endpoint
    }

    /// SIGTERM, then SIGKILL after 10 s.
    pub async fn stop(&self) {
        self.process.stop(Duration::from_secs(10)).await;
    }

    /// Starts it again, same ports and data, killing it first if it still runs.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn restart(&self) -> Result<()> {
        self.process.kill();
        self.process.start()?;
        let ready = || async { self.endpoint.query("sink", "SELECT 1").await.is_ok() };
        self.process.wait_until(self.patience, ready).await
    }
}

impl ClickHouseEndpoint {
    /// Runs one statement over HTTP as `migrator`, `sink` or `analyst` and gives the answer as text (TabSeparated).
    ///
    /// # Errors
    /// `Refused` with ClickHouse's own words when it answers anything but 200.
    pub async fn query(&self, user: &str, sql: &str) -> Result<String> {
        let password = match user {
            "migrator" => &self.passwords.migrator,
            "sink" => &self.passwords.sink,
            "analyst" => &self.passwords.analyst,
            other => return Err(SandboxError::Unsupported(format!("the local ClickHouse has no user `{other}`"))),
        };
        let request = crate::http_client()?
            .post(&self.url)
            .header("X-ClickHouse-User", user)
            .header("X-ClickHouse-Key", password);
        let answer = request.body(sql.to_owned()).send().await.map_err(std::io::Error::other);
        let answer = answer.while_doing(format!("asking ClickHouse at {}", self.url))?;
        let good = answer.status().is_success();
        let text = answer.text().await.map_err(std::io::Error::other).while_doing("reading ClickHouse's answer")?;
        match good {
            true => Ok(text.trim_end_matches('\n').to_owned()),
            false => Err(SandboxError::Refused { server: "ClickHouse", answer: text }),
        }
    }
}

struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
}

fn library_launch(dir: &Path, host_program: Option<PathBuf>, http_port: u16, tcp_port: u16) -> Result<Launch> {
    let serve = ServeArguments {
        library: places::chdb_library()?,
        path: dir.join("data"),
        config_file: dir.join("config.xml"),
        http_port,
        tcp_port,
    };
    let program = host_program.map_or_else(places::clickhouse_host_program, Ok)?;
    let arguments = std::iter::once("clickhouse-server".to_owned()).chain(serve.to_arguments()).collect();
    Ok(Launch { program, arguments })
}

fn passwords_of(dir: &Path, given: Option<ClickHousePasswords>) -> Result<ClickHousePasswords> {
    let path = dir.join("passwords.json");
    let kept = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let passwords = given.or(kept).map_or_else(random_passwords, Ok)?;
    let text = serde_json::to_string(&passwords).map_err(std::io::Error::other).doing("writing", &path)?;
    write_private(&path, &text)?;
    Ok(passwords)
}

fn random_passwords() -> Result<ClickHousePasswords> {
    Ok(ClickHousePasswords {
        migrator: crate::random_hex()?,
        sink: crate::random_hex()?,
        analyst: crate::random_hex()?,
    })
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).doing("writing", path)
}

//! All servers together, under one data folder, with one file of addresses.
//!
//! `OUTCRY_KAFKA__BOOTSTRAP_SERVERS` and `OUTCRY_CLICKHOUSE__URL` make it use those servers instead of starting its own
//! (`OUTCRY_CLICKHOUSE__PASSWORD` is then the password of `migrator`, `sink` and `analyst`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;

use crate::clickhouse::{ClickHouseEndpoint, ClickHouseOptions, ClickHouseServer, write_private};
use crate::clickhouse_config::{ClickHousePasswords, TEST_DATABASES, test_database};
use crate::dovecot::{Dovecot, DovecotEndpoint, DovecotOptions};
use crate::error::{Doing, Result, SandboxError};
use crate::kafka::{KafkaOptions, KafkaServer};
use crate::smtp::{SmtpOptions, SmtpServer};

/// What to start, and where.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    /// Where everything lies; a temporary folder, removed with the stack, when absent.
    pub data_dir: Option<PathBuf>,
    /// The broker.
    pub kafka: KafkaOptions,
    /// The database server.
    pub clickhouse: ClickHouseOptions,
    /// Start Dovecot too.
    pub dovecot: Option<DovecotOptions>,
    /// The SMTP receiver.
    pub smtp: SmtpOptions,
}

impl StackOptions {
    /// A stack whose data stays in this folder and is found again by the next stack there.
    pub fn in_dir(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: Some(data_dir.into()), ..Self::default() }
    }

    /// With Dovecot, plain and TLS.
    #[must_use]
    pub fn with_dovecot(mut self) -> Self {
        self.dovecot = Some(DovecotOptions { password: None, tls: true });
        self
    }
}

/// The addresses of a running stack, as written to `stack.json` (readable by its owner only: it has the passwords).
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct StackAddresses {
    /// The data folder.
    pub data_dir: PathBuf,
    /// `bootstrap.servers`.
    pub kafka_bootstrap: String,
    /// URL and passwords.
    pub clickhouse: ClickHouseEndpoint,
    /// The IMAP server, if there is one.
    pub dovecot: Option<DovecotEndpoint>,
    /// The SMTP receiver on 127.0.0.1 (lives in the process that started the stack).
    pub smtp_port: u16,
    /// The process that started the stack.
    pub pid: u32,
}

/// A running stack. Dropping it kills what it started.
#[derive(Debug)]
pub struct Stack {
    kafka: Option<KafkaServer>,
    clickhouse: Option<ClickHouseServer>,
    dovecot: Option<Dovecot>,
    smtp: SmtpServer,
    addresses: StackAddresses,
    /// Last, so that it is removed after the servers are gone.
    _temporary: Option<tempfile::TempDir>,
}

impl Stack {
    /// Starts everything concurrently and returns when all of it answers.
    ///
    /// # Errors
    /// When something is not installed (it says what to run) or does not come up (with the end of its log).
    pub async fn start(options: StackOptions) -> Result<Self> {
        let (data_dir, temporary) = data_dir(options.data_dir)?;
        for private in ["kafka", "clickhouse"] {
            make_private(&data_dir.join(private))?;
        }
        let kafka = async {
            match external("OUTCRY_KAFKA__BOOTSTRAP_SERVERS") {
                Some(_) => Ok(None),
                None => KafkaServer::start(&data_dir.join("kafka"), options.kafka).await.map(Some),
            }
        };
        let clickhouse = async {
            match external("OUTCRY_CLICKHOUSE__URL") {
                Some(_) => Ok(None),
                None => ClickHouseServer::start(&data_dir.join("clickhouse"), options.clickhouse).await.map(Some),
            }
        };
        let dovecot = async {
            match options.dovecot {
                Some(dovecot) => Dovecot::start(&data_dir.join("dovecot"), dovecot).await.map(Some),
                None => Ok(None),
            }
        };
        let (kafka, clickhouse, dovecot) = tokio::try_join!(kafka, clickhouse, dovecot)?;
        let smtp = SmtpServer::start(options.smtp)?;
        let addresses = StackAddresses {
            data_dir: data_dir.clone(),
            kafka_bootstrap: kafka.as_ref().map_or_else(
                || external("OUTCRY_KAFKA__BOOTSTRAP_SERVERS").unwrap_or_default(),
                KafkaServer::bootstrap,
            ),
            clickhouse: clickhouse.as_ref().map_or_else(external_clickhouse, |server| server.endpoint().clone()),
            dovecot: dovecot.as_ref().map(|dovecot| dovecot.endpoint().clone()),
            smtp_port: smtp.port(),
            pid: std::process::id(),
        };
        let text = serde_json::to_string_pretty(&addresses)
            .map_err(std::io::Error::other)
            .while_doing("writing stack.json")?;
        write_private(&data_dir.join("stack.json"), &text)?;
        Ok(Self { kafka, clickhouse, dovecot, smtp, addresses, _temporary: temporary })
    }

    /// Uses a stack that another process started, by its `stack.json`. Its servers cannot be killed from here; the SMTP
    /// receiver is one of our own.
    ///
    /// # Errors
    /// When the file is not there or is no `stack.json`.
    pub fn attach(stack_json: &Path) -> Result<Self> {
        let bytes = std::fs::read(stack_json).doing("reading", stack_json)?;
        let mut addresses: StackAddresses =
            serde_json::from_slice(&bytes).map_err(std::io::Error::other).doing("reading", stack_json)?;
        let smtp = SmtpServer::start(SmtpOptions::default())?;
        addresses.smtp_port = smtp.port();
        let dovecot = addresses.dovecot.clone().map(Dovecot::attach);
        Ok(Self { kafka: None, clickhouse: None, dovecot, smtp, addresses, _temporary: None })
    }

    /// Every address and password.
    pub fn addresses(&self) -> &StackAddresses {
        &self.addresses
    }

    /// The folder with all data, logs and `stack.json`.
    pub fn data_dir(&self) -> &Path {
        &self.addresses.data_dir
    }

    /// For `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.addresses.kafka_bootstrap
    }

    /// URL, users and a way to ask: `stack.clickhouse().query("analyst", "SELECT 1")`.
    pub fn clickhouse(&self) -> &ClickHouseEndpoint {
        &self.addresses.clickhouse
    }

    /// The SMTP receiver.
    pub fn smtp(&self) -> &SmtpServer {
        &self.smtp
    }

    /// The broker, to kill, freeze and restart it.
    ///
    /// # Errors
    /// When this stack did not start it.
    pub fn kafka_server(&self) -> Result<&KafkaServer> {
        self.kafka.as_ref().ok_or_else(|| not_ours("Kafka"))
    }

    /// The database server, to kill, freeze and restart it.
    ///
    /// # Errors
    /// When this stack did not start it.
    pub fn clickhouse_server(&self) -> Result<&ClickHouseServer> {
        self.clickhouse.as_ref().ok_or_else(|| not_ours("ClickHouse"))
    }

    /// The IMAP server.
    ///
    /// # Errors
    /// When this stack has none.
    pub fn dovecot(&self) -> Result<&Dovecot> {
        let missing =
            || SandboxError::Unsupported("this stack has no Dovecot; use StackOptions::with_dovecot".to_owned());
        self.dovecot.as_ref().ok_or_else(missing)
    }

    /// The `[kafka]` and `[clickhouse]` sections of a service's configuration, ClickHouse as user `sink`.
    pub fn config_toml(&self, topic_prefix: &str, database: &str) -> String {
        self.config_toml_as("sink", topic_prefix, database)
    }

    /// The same for another ClickHouse user: `migrator`, `sink` or `analyst`.
    pub fn config_toml_as(&self, user: &str, topic_prefix: &str, database: &str) -> String {
        let passwords = &self.addresses.clickhouse.passwords;
        let password = match user {
            "migrator" => &passwords.migrator,
            "analyst" => &passwords.analyst,
            _ => &passwords.sink,
        };
        // A JSON string is a valid basic string of TOML.
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            "[kafka]\nbootstrap_servers = {}\ntopic_prefix = {}\nsecurity = \"plaintext\"\n\n\
             [clickhouse]\nurl = {}\ndatabase = {}\nusername = {}\npassword = {}\n",
            quote(self.bootstrap()),
            quote(topic_prefix),
            quote(&self.addresses.clickhouse.url),
            quote(database),
            quote(user),
            quote(password)
        )
    }

    /// Creates a database nobody has used, one of the pool whose views the analyst may read.
    ///
    /// # Errors
    /// When the pool is used up, or ClickHouse refuses.
    pub async fn fresh_database(&self) -> Result<String> {
        let name = self.fresh_database_name()?;
        self.clickhouse().query("migrator", &format!("CREATE DATABASE {name}")).await?;
        Ok(name)
    }

    fn fresh_database_name(&self) -> Result<String> {
        // Claimed by creating a file, so that several processes can share the stack.
        let claims = self.data_dir().join("databases");
        std::fs::create_dir_all(&claims).doing("creating", &claims)?;
        for number in 0..TEST_DATABASES {
            let name = test_database(number);
            match std::fs::File::create_new(claims.join(&name)) {
                Ok(_) => return Ok(name),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).doing("claiming a database in", &claims),
            }
        }
        Err(SandboxError::Unsupported(format!(
            "all {TEST_DATABASES} test databases of this stack are used up; start another"
        )))
    }

    /// Orderly end of everything this stack started.
    pub async fn stop(self) {
        let kafka = async {
            if let Some(kafka) = &self.kafka {
                kafka.stop().await;
            }
        };
        let clickhouse = async {
            if let Some(clickhouse) = &self.clickhouse {
                clickhouse.stop().await;
            }
        };
        let dovecot = async {
            if let Some(dovecot) = &self.dovecot {
                dovecot.stop().await;
            }
        };
        tokio::join!(kafka, clickhouse, dovecot);
    }
}

/// The one stack of this test process, with Dovecot: the one `OUTCRY_TEST_STACK` names (a `stack.json`), or one started at the
/// first call, which ends with the process.
///
/// # Panics
/// When it cannot be started: no test can go on without it, and none may skip.
pub async fn shared_stack() -> &'static Stack {
    static SHARED: OnceCell<Stack> = OnceCell::const_new();
    let start = || async {
        let stack = match external("OUTCRY_TEST_STACK") {
            Some(path) => Stack::attach(Path::new(&path)),
            None => Stack::start(StackOptions::default().with_dovecot()).await,
        };
        match stack {
            Ok(stack) => stack,
            Err(error) => panic!("the local stack does not start: {error}"),
        }
    };
    SHARED.get_or_init(start).await
}

/// A topic prefix that no other test and no other process uses, ending in a dot.
pub fn fresh_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let seconds = jiff::Timestamp::now().as_second();
    format!("t{seconds:x}-{}-{number}.", std::process::id())
}

fn external(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn external_clickhouse() -> ClickHouseEndpoint {
    let password = external("OUTCRY_CLICKHOUSE__PASSWORD").unwrap_or_default();
    let passwords = ClickHousePasswords { migrator: password.clone(), sink: password.clone(), analyst: password };
    ClickHouseEndpoint { url: external("OUTCRY_CLICKHOUSE__URL").unwrap_or_default(), passwords }
}

fn not_ours(server: &str) -> SandboxError {
    SandboxError::Unsupported(format!(
        "{server} was not started by this process, so it is not steered from here; start a Stack of your own"
    ))
}

fn data_dir(wished: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(dir) = wished {
        std::fs::create_dir_all(&dir).doing("creating", &dir)?;
        return Ok((dir.canonicalize().doing("resolving", &dir)?, None));
    }
    sweep_temporary_folders();
    // Others may enter (Dovecot's user must); what is private inside is closed by itself.
    let prefix = format!("{TEMPORARY_PREFIX}{}-", std::process::id());
    let made = tempfile::Builder::new().prefix(&prefix).permissions(std::fs::Permissions::from_mode(0o755)).tempdir();
    let temporary = made.while_doing("making a temporary folder")?;
    Ok((temporary.path().to_path_buf(), Some(temporary)))
}

const TEMPORARY_PREFIX: &str = "outcry-stack-";

/// A shared stack is never dropped, so its folder stays; the next process removes those of processes that are gone.
fn sweep_temporary_folders() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(TEMPORARY_PREFIX)?.split('-').next()?.parse::<i32>().ok());
        // SAFETY: signal 0 only asks whether the process exists.
        let gone = owner.is_some_and(|pid| pid > 0 && unsafe { libc::kill(pid, 0) } != 0 && is_no_such_process());
        if gone {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_no_such_process() -> bool {
    std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

fn make_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(dir).doing("creating", dir)?;
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o700)).doing("closing to others", dir)
}

//! A real IMAP server (Dovecot 2.3, Debian `dovecot-imapd`) as a child process with a configuration of its own.
//!
//! Any user name is accepted, with the one password of the stack. It offers IDLE, UIDPLUS, CONDSTORE and QRESYNC; TLS
//! (STARTTLS on the plain port and implicit TLS on another) with a private CA when asked. Dovecot refuses to read mail
//! as root, so as root the mail belongs to the system user `dovecot`, and everything lies where that user can get at
//! it: in the given folder if its parents let others pass, else in a folder of the system's temporary directory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::clickhouse::write_private;
use crate::error::{Doing, Result, SandboxError};
use crate::places;
use crate::ports::{free_port_like, remember, remembered};
use crate::process::{ServerProcess, run_tool};

/// How Dovecot is started.
#[derive(Debug, Clone, Default)]
pub struct DovecotOptions {
    /// The password of every user; random when absent.
    pub password: Option<String>,
    /// Offer STARTTLS and implicit TLS with a private CA (made with the `openssl` program).
    pub tls: bool,
}

/// The running IMAP server. Dropping it kills it. Loading mail: [`crate::dovecot_mail`].
#[derive(Debug)]
pub struct Dovecot {
    process: Option<ServerProcess>,
    endpoint: DovecotEndpoint,
}

/// Where an IMAP server of the stack is, and how to log in.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct DovecotEndpoint {
    /// Plain IMAP (with STARTTLS if TLS was asked for) on 127.0.0.1.
    pub port: u16,
    /// Implicit TLS on 127.0.0.1, certificate for `localhost`.
    pub tls_port: Option<u16>,
    /// The CA that signed the certificate.
    pub ca_file: Option<PathBuf>,
    /// The password of every user.
    pub password: String,
    /// The Maildirs: `<mail>/<user>`, folders below it.
    pub mail: PathBuf,
    /// The owner of the mail, when this process is root.
    pub owner: Option<(u32, u32)>,
}

impl Dovecot {
    /// Starts Dovecot with its mail in `dir` (see above); existing mail and ports are kept.
    ///
    /// # Errors
    /// When Dovecot is not installed (it says what to run), or it does not answer in time (with its log).
    pub async fn start(dir: &Path, options: DovecotOptions) -> Result<Self> {
        let program = places::required_program("dovecot", "dovecot-imapd")?;
        std::fs::create_dir_all(dir).doing("creating", dir)?;
        let dir = dir.canonicalize().doing("resolving", dir)?;
        let owner = mail_owner()?;
        let home = home_for(&dir, owner.is_some())?;
        let mail = home.join("mail");
        for folder in [home.join("run"), home.join("state"), mail.clone()] {
            std::fs::create_dir_all(&folder).doing("creating", &folder)?;
        }
        give(&mail, owner)?;

        let port = free_port_like(remembered(&dir, "imap"))?;
        let tls_port = options.tls.then(|| free_port_like(remembered(&dir, "imaps"))).transpose()?;
        remember(&dir, &[("imap", port), ("imaps", tls_port.unwrap_or(0))])?;
        let ca_file = options.tls.then(|| make_certificates(&dir.join("tls"))).transpose()?;
        let password = options.password.map_or_else(|| kept_password(&dir), Ok)?;
        let endpoint = DovecotEndpoint { port, tls_port, ca_file, password, mail, owner };
        let config = dir.join("dovecot.conf");
        write_private(&config, &config_text(&dir, &home, &endpoint)?)?;

        let stale_pid = home.join("run").join("master.pid");
        let process = ServerProcess::new("Dovecot", dir.join("dovecot.log"), move || {
            // After SIGKILL its pid file would make it believe that it runs already.
            let _ = std::fs::remove_file(&stale_pid);
            let mut command = Command::new(&program);
            command.arg("-F").arg("-c").arg(&config);
            command
        });
        let server = Self { process: Some(process), endpoint };
        server.restart().await?;
        Ok(server)
    }

    /// A handle on a Dovecot that another process started: mail can be loaded, the process cannot be steered.
    pub fn attach(endpoint: DovecotEndpoint) -> Self {
        Self { process: None, endpoint }
    }

    /// Port of plain IMAP (and STARTTLS).
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// Port of implicit TLS, if it was asked for.
    pub fn tls_port(&self) -> Option<u16> {
        self.endpoint.tls_port
    }

    /// The CA to verify TLS with (host name `localhost`), if TLS was asked for.
    pub fn ca_file(&self) -> Option<&Path> {
        self.endpoint.ca_file.as_deref()
    }

    /// The password of every user.
    pub fn password(&self) -> &str {
        &self.endpoint.password
    }

    /// All of the above.
    pub fn endpoint(&self) -> &DovecotEndpoint {
        &self.endpoint
    }

    /// The master's process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(ServerProcess::pid)
    }

    /// SIGKILL to the master and its processes: every connection is cut.
    pub fn kill(&self) {
        if let Some(process) = &self.process {
            process.kill();
        }
    }

    /// Orderly shutdown.
    pub async fn stop(&self) {
        if let Some(process) = &self.process {
            process.stop(Duration::from_secs(5)).await;
            process.kill();
        }
    }

    /// Starts it again, same ports and mail, killing it first if it still runs.
    ///
    /// # Errors
    /// When it does not answer in time, or another process owns it.
    pub async fn restart(&self) -> Result<()> {
        let Some(process) = &self.process else {
            return Err(SandboxError::Unsupported(
                "this Dovecot belongs to another process; start one of your own".to_owned(),
            ));
        };
        process.kill();
        process.start()?;
        process.wait_until(Duration::from_secs(30), || greets(self.endpoint.port)).await
    }
}

async fn greets(port: u16) -> bool {
    let mut greeting = [0_u8; 4];
    let read = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.read_exact(&mut greeting).await
    };
    let answered = tokio::time::timeout(Duration::from_secs(2), read).await;
    answered.is_ok_and(|read| read.is_ok()) && greeting.starts_with(b"* OK")
}

/// The user Dovecot reads mail as; none when this process is not root (then it is the process's own).
fn mail_owner() -> Result<Option<(u32, u32)>> {
    // SAFETY: geteuid(2) cannot fail and takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").while_doing("reading /etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("dovecot:"));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some).ok_or_else(|| SandboxError::Missing {
        what: "the system user `dovecot`".to_owned(),
        remedy: "run deploy/local/fetch (the Debian package dovecot-imapd makes it)".to_owned(),
    })
}

/// A folder the mail user can reach, with a path short enough for Unix sockets (108 bytes with the name).
fn home_for(dir: &Path, other_user: bool) -> Result<PathBuf> {
    let open = |folder: &Path| folder.metadata().is_ok_and(|data| data.permissions().mode() & 0o001 != 0);
    let reachable = !other_user || dir.ancestors().all(open);
    if reachable && dir.as_os_str().len() < 70 {
        return Ok(dir.to_path_buf());
    }
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    let home = std::env::temp_dir().join(format!("outcry-dovecot-{:016x}", hasher.finish()));
    std::fs::create_dir_all(&home).doing("creating", &home)?;
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).doing("opening to the mail user", &home)?;
    if !home.ancestors().all(open) {
        let why = format!(
            "Dovecot's user can reach neither {} nor {}; choose a data folder others can enter",
            dir.display(),
            home.display()
        );
        return Err(SandboxError::Unsupported(why));
    }
    Ok(home)
}

/// Makes the mail user own a file, when this process is root.
pub(crate) fn give(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    match owner {
        Some((user, group)) => chown(path, Some(user), Some(group)).doing("giving to the mail user", path),
        None => Ok(()),
    }
}

fn kept_password(dir: &Path) -> Result<String> {
    let path = dir.join("password");
    if let Ok(kept) = std::fs::read_to_string(&path) {
        return Ok(kept);
    }
    let password = crate::random_hex()?;
    write_private(&path, &password)?;
    Ok(password)
}

fn config_text(dir: &Path, home: &Path, endpoint: &DovecotEndpoint) -> Result<String> {
    let users = match endpoint.owner {
        Some((user, group)) => {
            format!("mail_uid = {user}\nmail_gid = {group}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n")
        }
        None => {
            let name = String::from_utf8_lossy(&run_tool(command("id", &["-un"]), "id -un")?).trim().to_owned();
            let group = String::from_utf8_lossy(&run_tool(command("id", &["-gn"]), "id -gn")?).trim().to_owned();
            format!(
                "default_internal_user = {name}\ndefault_internal_group = {group}\ndefault_login_user = {name}\n\
                 mail_uid = {name}\nmail_gid = {group}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
            )
        }
    };
    let tls = match endpoint.tls_port {
        Some(_) => format!("ssl = yes\nssl_cert = <{0}/cert.pem\nssl_key = <{0}/key.pem\n", dir.join("tls").display()),
        None => "ssl = no\n".to_owned(),
    };
    let implicit = match endpoint.tls_port {
        Some(port) => format!("port = {port}\n    ssl = yes"),
        None => "port = 0".to_owned(),
    };
    Ok(format!(
        "base_dir = {home}/run
state_dir = {home}/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
{users}{tls}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_max_userip_connections = 200
mailbox_idle_check_interval = 2 secs
mail_location = maildir:{mail}/%u:LAYOUT=fs
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = home={mail}/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    {implicit}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
",
        home = home.display(),
        mail = endpoint.mail.display(),
        password = endpoint.password,
        port = endpoint.port,
    ))
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// A CA and a certificate for `localhost` and 127.0.0.1; gives the CA's file.
fn make_certificates(dir: &Path) -> Result<PathBuf> {
    let ca = dir.join("ca.pem");
    if ca.exists() && dir.join("cert.pem").exists() {
        return Ok(ca);
    }
    std::fs::create_dir_all(dir).doing("creating", dir)?;
    let openssl = places::required_program("openssl", "openssl")?;
    let extensions = dir.join("extensions");
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n";
    std::fs::write(&extensions, names).doing("writing", &extensions)?;
    let steps = [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=outcry-sandbox-ca -keyout ca.key -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout key.pem -out request.pem",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile extensions -out cert.pem",
    ];
    for step in steps {
        let mut command = Command::new(&openssl);
        command.args(step.split(' ')).current_dir(dir);
        run_tool(command, "making a certificate with openssl")?;
    }
    Ok(ca)
}

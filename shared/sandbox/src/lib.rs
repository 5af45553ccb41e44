//! The local stack: real Kafka, ClickHouse, Dovecot and an SMTP receiver on 127.0.0.1, a contract fake of Mastodon, a
//! scripted IMAP server, and a TCP fault proxy. `outcry up` and `outcry demo` run on it, and so do the tests.
//!
//! It owns starting, steering (kill, freeze, restart) and ending those servers, and finding what
//! `deploy/local/fetch` fetched. It refuses to know anything of complaints: no topic, no table, no item.

mod background;
pub mod clickhouse;
pub mod clickhouse_config;
pub mod clickhouse_server;
pub mod dovecot;
pub mod dovecot_mail;
pub mod error;
pub mod kafka;
pub mod mastodon;
pub mod places;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod retention;
pub mod scripted_imap;
pub mod smtp;
pub mod stack;
pub mod topic;

pub use clickhouse::{ClickHouseEndpoint, ClickHouseOptions, ClickHouseServer};
pub use clickhouse_config::ClickHousePasswords;
pub use dovecot::{Dovecot, DovecotEndpoint, DovecotOptions};
pub use dovecot_mail::{Delivery, ImapSession};
pub use error::{Result, SandboxError};
pub use kafka::{KafkaOptions, KafkaServer};
pub use mastodon::{MastodonOptions, MastodonServer, NewStatus};
pub use ports::free_port;
pub use proxy::{Fault, FaultProxy};
pub use retention::delete_records;
pub use scripted_imap::{ImapFault, Manners, ScriptedImap};
pub use smtp::{ReceivedMail, SmtpOptions, SmtpServer};
pub use stack::{Stack, StackAddresses, StackOptions, fresh_prefix, shared_stack};
pub use topic::{PATIENCE, TopicRecord, read_topic_until, wait_until};

use error::Doing;

/// A client for the stack's own HTTP servers.
pub(crate) fn http_client() -> Result<reqwest::Client> {
    // Another part of the process may have installed a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(60)).build();
    built.map_err(std::io::Error::other).while_doing("making an HTTP client")
}

/// 32 hexadecimal digits nobody can guess.
pub(crate) fn random_hex() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.while_doing("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! What can go wrong between us and a mailbox.

use std::time::Duration;

/// A conversation with an IMAP server failed. Nothing of a mail is ever part of the text.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// No connection.
    #[error("connecting to {server}: {source}. Is the host right, and is the server up?")]
    Connect {
        /// Host and port.
        server: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS failed, or its settings cannot be used.
    #[error("TLS with {server}: {problem}. Is the certificate of that name, and known to the system or ca_file?")]
    Tls {
        /// Host and port.
        server: String,
        /// What was wrong.
        problem: String,
    },
    /// The server does not offer what protects the password.
    #[error(
        "{server} does not offer STARTTLS ({problem}); nothing was told to it. Use tls = \"implicit\", or a server that protects passwords"
    )]
    NoStarttls {
        /// Host and port.
        server: String,
        /// What it answered.
        problem: String,
    },
    /// Login refused.
    #[error("logging in at {server}: {problem}. Are username and password (or oauth2) right?")]
    Login {
        /// Host and port.
        server: String,
        /// What it answered.
        problem: String,
    },
    /// No access token could be had.
    #[error("asking {token_url} for an access token: {problem}. Was the grant withdrawn, or has it run out?")]
    Token {
        /// Where.
        token_url: String,
        /// What it answered.
        problem: String,
    },
    /// A folder cannot be opened.
    #[error("opening folder {folder:?}: the server answered {answer}. Is the name right, and may this user read it?")]
    Folder {
        /// As it is configured.
        folder: String,
        /// NO or BAD, with the server's words.
        answer: String,
    },
    /// The server sends more than was asked for.
    #[error("{command}: the server sends more than it said; the connection was given up before memory was")]
    Overflow {
        /// The command, without its arguments.
        command: &'static str,
    },
    /// A command was answered with NO or BAD.
    #[error("{command}: the server answered {answer}")]
    Refused {
        /// The command, without its arguments.
        command: &'static str,
        /// NO or BAD, with the server's words.
        answer: String,
    },
    /// The connection ended or the answer could not be read.
    #[error("{command}: {problem}")]
    Lost {
        /// The command, without its arguments.
        command: &'static str,
        /// What happened.
        problem: String,
    },
    /// No answer in time.
    #[error("{command}: no answer within {} s", .after.as_secs())]
    Timeout {
        /// The command, without its arguments.
        command: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// What was read could not be handed on.
    #[error("handing mail on: {0}")]
    Publish(#[from] outcry_kafka::PublishError),
}

impl ImapError {
    /// A label of low cardinality.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::NoStarttls { .. } => "no_starttls",
            Self::Login { .. } => "login",
            Self::Token { .. } => "token",
            Self::Folder { .. } => "folder",
            Self::Overflow { .. } => "overflow",
            Self::Refused { .. } => "refused",
            Self::Lost { .. } => "lost",
            Self::Timeout { .. } => "timeout",
            Self::Publish(_) => "publish",
        }
    }

    /// `true` when the connection can still be used.
    pub fn leaves_connection(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// `true` when only a person can help.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::Login { .. } | Self::Token { .. } | Self::NoStarttls { .. } | Self::Tls { .. } | Self::Folder { .. }
        )
    }
}

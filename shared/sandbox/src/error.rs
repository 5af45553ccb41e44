//! What can go wrong while starting or steering the local stack, each with what to do about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, SandboxError>;

/// Why the local stack could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A program, jar or library is not on this machine.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What was looked for, and where.
        what: String,
        /// The command that brings it.
        remedy: String,
    },
    /// A file, socket or process operation failed.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A server did not become ready; the end of its log is part of the message.
    #[error("{server} was not ready after {waited:?} (log {log}); its last lines:\n{tail}")]
    NotReady {
        /// Which server.
        server: &'static str,
        /// How long it was given.
        waited: Duration,
        /// Where the whole log is.
        log: PathBuf,
        /// Its end.
        tail: String,
    },
    /// A server of the stack answered with an error.
    #[error("{server} refused: {answer}")]
    Refused {
        /// Which server.
        server: &'static str,
        /// Its answer, word for word.
        answer: String,
    },
    /// The call makes no sense for this stack (for example killing a server that somebody else started).
    #[error("{0}")]
    Unsupported(String),
}

impl SandboxError {
    /// A short stable name, for counting.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Io { .. } => "io",
            Self::NotReady { .. } => "not_ready",
            Self::Refused { .. } => "refused",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

/// Puts the action and the path in front of an `io::Error`.
pub(crate) trait Doing<T> {
    fn doing(self, action: &str, path: &Path) -> Result<T>;
    fn while_doing(self, action: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, action: &str, path: &Path) -> Result<T> {
        self.while_doing(format!("{action} {}", path.display()))
    }

    fn while_doing(self, action: impl Into<String>) -> Result<T> {
        self.map_err(|source| SandboxError::Io { doing: action.into(), source })
    }
}

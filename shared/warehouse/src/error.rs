//! What can go wrong with ClickHouse, said so that a person knows what to do.

/// A failed request. The text names what was being done, in which database, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The configuration cannot be used.
    #[error("[clickhouse] {key}: {reason}")]
    Config {
        /// The key in the section.
        key: &'static str,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// No answer: the server is down, unreachable or too slow.
    #[error("{doing} in database `{database}`: {reason}; is ClickHouse running at {url}?")]
    Unreachable {
        /// What was being done.
        doing: &'static str,
        /// The database.
        database: String,
        /// The server's address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server answered with an exception.
    #[error("{doing} in database `{database}`: ClickHouse refused (code {code}): {message}{advice}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// The database.
        database: String,
        /// ClickHouse's exception code; 0 if the answer carried none.
        code: u32,
        /// ClickHouse's words.
        message: String,
        /// What to do, starting with "; ", or nothing.
        advice: &'static str,
    },
    /// The server's answer is not what was asked for.
    #[error(
        "{doing} in database `{database}`: the answer cannot be read: {reason}; is that address really ClickHouse?"
    )]
    Unreadable {
        /// What was being done.
        doing: &'static str,
        /// The database.
        database: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server answered with more than is taken into memory.
    #[error("{doing} in database `{database}`: the answer is larger than {limit} bytes; ask for less at once")]
    TooLarge {
        /// What was being done.
        doing: &'static str,
        /// The database.
        database: String,
        /// What an answer may hold.
        limit: usize,
    },
    /// A migration that was applied has other text now.
    #[error(
        "migration {name} was applied to database `{database}` with other content: a released migration never changes; \
         put the change into a new migration, or start from an empty database"
    )]
    ChangedMigration {
        /// The migration's name.
        name: String,
        /// The database.
        database: String,
    },
    /// The database lacks migrations that this release needs.
    #[error("database `{database}` lacks {missing}: run `outcry migrate`")]
    NotMigrated {
        /// The database.
        database: String,
        /// The migrations it lacks.
        missing: String,
    },
    /// There is no such report.
    #[error("there is no report `{name}`; there are: {known}")]
    UnknownReport {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

impl WarehouseError {
    /// A short name for a metric's label.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::ChangedMigration { .. } => "changed_migration",
            Self::NotMigrated { .. } => "not_migrated",
            Self::UnknownReport { .. } => "unknown_report",
        }
    }

    /// `true` when the same request may succeed later without anyone changing anything.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// What an operator can do about an exception, by ClickHouse's code.
pub(crate) fn advice(code: u32) -> &'static str {
    match code {
        60 | 81 | 16 | 47 => "; run `outcry migrate`",
        192..=194 | 516 => "; check [clickhouse] username and password",
        497 => "; grant it to the user of [clickhouse] username",
        164 => "; the user is read-only",
        241 => "; the server is short of memory",
        243 => "; the server's disk is full",
        252 => "; too many small inserts: raise [sink] flush_interval_ms",
        _ => "",
    }
}

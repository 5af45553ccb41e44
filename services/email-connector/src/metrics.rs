//! Names of the metrics, all labelled with `source`.

/// Mails acknowledged by the broker; labels `folder`, `direction`.
pub const ITEMS: &str = "outcry_email_items_produced_total";
/// Mails of which only a part could be stored, or nothing; labels `folder`, `reason`.
pub const DEAD_LETTERS: &str = "outcry_email_mails_refused_total";
/// Connections that were given up; labels `folder`, `reason`.
pub const FAILURES: &str = "outcry_email_connections_failed_total";
/// UIDs that the server lists and does not deliver; label `folder`.
pub const GAPS: &str = "outcry_email_gaps_open_count";
/// When a folder was last read to its end, in seconds since 1970; label `folder`.
pub const LAST_PASS: &str = "outcry_email_last_pass_timestamp_seconds";
/// Access tokens that could not be renewed.
pub const TOKEN_FAILURES: &str = "outcry_email_token_refreshes_failed_total";

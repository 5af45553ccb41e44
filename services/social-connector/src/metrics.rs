//! Names of the metrics, all labelled with `source`.

/// Items acknowledged by the broker; label `direction`.
pub const ITEMS: &str = "outcry_social_items_produced_total";
/// Posts that could not be read and went to dead letters.
pub const DEAD_LETTERS: &str = "outcry_social_posts_refused_total";
/// Requests by `outcry_social_requests_sent_total{outcome}`: `ok`, or the error's label.
pub const REQUESTS: &str = "outcry_social_requests_sent_total";
/// Passes over an account that ended early; label `reason`.
pub const FAILED_PASSES: &str = "outcry_social_passes_failed_total";
/// Parents of posts that had to be asked for one by one.
pub const LOOKUPS: &str = "outcry_social_parents_fetched_total";
/// When the last complete pass ended, in seconds since 1970.
pub const LAST_PASS: &str = "outcry_social_last_pass_timestamp_seconds";

//! Names of the metrics.

/// Requests; labels `route`, `status`.
pub const REQUESTS: &str = "outcry_console_requests_answered_total";
/// Case events that the broker acknowledged; label `action`.
pub const CASE_EVENTS: &str = "outcry_console_case_events_published_total";
/// Requests without valid credentials.
pub const REFUSED: &str = "outcry_console_requests_refused_total";
/// Items shown in the live feed.
pub const FEED_ITEMS: &str = "outcry_console_feed_items_shown_total";
/// Browsers that watch the live feed now.
pub const WATCHERS: &str = "outcry_console_feed_watchers";

//! What is counted.

/// Records delivered, by topic.
pub const PUBLISHED: &str = "outcry_kafka_published_records_total";
/// Deliveries that failed, by topic and error.
pub const PUBLISH_FAILURES: &str = "outcry_kafka_publish_failures_total";
/// Producers replaced after a fatal error.
pub const PRODUCERS_RENEWED: &str = "outcry_kafka_producers_renewed_total";
/// Records read, by topic.
pub const CONSUMED: &str = "outcry_kafka_consumed_records_total";
/// Records rejected into dead letters, by group and reason.
pub const REJECTED: &str = "outcry_kafka_rejected_records_total";
/// Offset commits, by group and result.
pub const COMMITS: &str = "outcry_kafka_commits_total";
/// Rebalances, by group and kind.
pub const REBALANCES: &str = "outcry_kafka_rebalances_total";
/// Seconds since the consumer last polled; a consumer that does not poll loses its partitions.
pub const LAST_POLL_AGE: &str = "outcry_kafka_last_poll_age_seconds";
/// Bytes handed to workers and not yet done, by group.
pub const OUTSTANDING_BYTES: &str = "outcry_kafka_outstanding_bytes";

//! Names of the front door's metrics.

/// Answers given, by `status`.
pub const REPLIES: &str = "outcry_webhook_replies_total";
/// Webhooks that were not believed, by `reason`.
pub const UNAUTHENTIC: &str = "outcry_webhook_unauthentic_requests_total";
/// Time from the end of the headers to the answer, in seconds.
pub const SECONDS: &str = "outcry_webhook_request_seconds";
/// Connections open now.
pub const CONNECTIONS: &str = "outcry_webhook_connections";
/// Connections closed at once, by `cap` (total, address).
pub const CONNECTIONS_REFUSED: &str = "outcry_webhook_refused_connections_total";
/// Records made durable, by `path` (kafka, spool).
pub const DURABLE: &str = "outcry_webhook_durable_records_total";
/// Bytes that wait in the spool for Kafka.
pub const SPOOL_BYTES: &str = "outcry_webhook_spool_bytes";
/// Records taken from the spool to Kafka.
pub const SPOOL_DRAINED: &str = "outcry_webhook_spool_drained_records_total";
/// Stretches of the spool that could not be read and were set aside.
pub const SPOOL_DAMAGED: &str = "outcry_webhook_spool_damaged_stretches_total";
/// Records refused because the spool is full or its disk fails.
pub const SPOOL_REFUSED: &str = "outcry_webhook_spool_refused_records_total";

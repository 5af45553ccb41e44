//! What is counted.

/// Rows stored, by table.
pub const STORED: &str = "outcry_sink_stored_rows_total";
/// INSERTs, by table and result.
pub const INSERTS: &str = "outcry_sink_inserts_total";
/// Seconds from sending a batch to its answer, by table.
pub const INSERT_SECONDS: &str = "outcry_sink_insert_seconds";
/// Times that the fence was taken and the table read back, by table.
pub const RECONCILIATIONS: &str = "outcry_sink_reconciliations_total";
/// Rows found stored already when reconciling, by table.
pub const ALREADY_STORED: &str = "outcry_sink_rows_already_stored_total";
/// Records that could not be decoded or were refused by ClickHouse, by table and reason.
pub const REJECTED: &str = "outcry_sink_rejected_records_total";
/// Times that committed rows were found missing in ClickHouse, by table: it was restored from an older backup.
pub const GAPS: &str = "outcry_sink_committed_rows_missing_total";

//! Names of the metrics.

/// Acknowledgements that the mail server took; label `language`.
pub const ACKNOWLEDGED: &str = "outcry_notifier_acknowledgements_sent_total";
/// Inbound mails that got none; label `reason`.
pub const NOT_ACKNOWLEDGED: &str = "outcry_notifier_acknowledgements_withheld_total";
/// Alerts that the mail server took.
pub const ALERTED: &str = "outcry_notifier_alerts_sent_total";
/// Mails that the mail server did not take; label `outcome`: `refused` (for good), `put_off` or `deferred`.
pub const FAILED: &str = "outcry_notifier_mails_failed_total";
/// Mails that the server put off and that are tried again later.
pub const WAITING: &str = "outcry_notifier_mails_waiting";
/// Mails that were never taken: label `purpose` (`receipt`, `alert`) and `reason` (`refused`, `put_off`, `unwritable`, `expired`).
pub const GIVEN_UP: &str = "outcry_notifier_mails_given_up_total";
/// Records that cannot be read. The sink puts them into dead letters; here they are passed.
pub const UNREADABLE: &str = "outcry_notifier_records_unreadable_total";

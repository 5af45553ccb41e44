//! What is counted.

/// Items classified, by kind.
pub const CLASSIFIED: &str = "outcry_classifier_items_total";
/// Items that a person should look at.
pub const NEEDS_REVIEW: &str = "outcry_classifier_items_for_review_total";
/// Records that gave no classification, by reason.
pub const REJECTED: &str = "outcry_classifier_rejected_records_total";

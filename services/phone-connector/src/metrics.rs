//! Names of the phone connector's metrics.

/// Call events stored, by `account` and `event`.
pub const ITEMS: &str = "outcry_phone_items_total";
/// Authentic webhooks that could not be used, by `account`.
pub const UNDECODABLE: &str = "outcry_phone_undecodable_webhooks_total";

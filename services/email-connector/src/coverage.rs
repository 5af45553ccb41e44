//! The proof: what a folder listed against what was handed on.

use crate::{checkpoint::OpenWindow, folder::Mailbox, produce::Producer};
use outcry_domain::{Channel, Coverage, SCHEMA_VERSION, Timestamp};
use outcry_kafka::{PublishError, Topic};

/// Names of missing mails in one record.
const MAX_EXAMPLES: usize = 100;

/// What one look at a folder found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub start: Timestamp,
    pub end: Timestamp,
    pub listed: u64,
    pub missing: Vec<u32>,
    pub note: Option<String>,
}

impl From<&OpenWindow> for Window {
    fn from(open: &OpenWindow) -> Self {
        Self { start: open.start, end: open.end, listed: open.listed, missing: open.missing.clone(), note: None }
    }
}

/// Tells the window; a later record of the same window replaces it.
pub(crate) async fn tell(
    producer: &Producer,
    mailbox: &Mailbox,
    folder: &str,
    window: Window,
) -> Result<(), PublishError> {
    let missing = window.missing.len() as u64;
    let record = Coverage {
        schema_version: SCHEMA_VERSION,
        brand: mailbox.brand.id.clone(),
        channel: Channel::Email,
        source: mailbox.source.clone(),
        scope: folder.to_owned(),
        window_start: window.start,
        window_end: window.end,
        listed: window.listed,
        produced: window.listed.saturating_sub(missing),
        missing,
        missing_examples: window.missing.iter().take(MAX_EXAMPLES).map(|uid| format!("UID {uid}")).collect(),
        note: window.note,
        checked_at: producer.now(),
        unknown_fields: serde_json::Map::new(),
    };
    producer.publisher().publish_json(Topic::SourceCoverage, &mailbox.source, &record).await?;
    Ok(())
}

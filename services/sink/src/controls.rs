//! Negative controls: wrong ways to write, chosen by `OUTCRY_SINK_CONTROL`. The fault harness must see each of them lose or
//! double rows, or it could not see that we do. Test only; see the features in `Cargo.toml`.

use crate::perform::Performer;
use outcry_kafka::Partition;
use outcry_warehouse::{Batch, InsertResult};
use std::time::Duration;

fn chosen(control: &str) -> bool {
    std::env::var("OUTCRY_SINK_CONTROL").is_ok_and(|value| value == control)
}

/// `token`: trust `insert_deduplication_token`, with neither fence nor read-back.
pub(crate) fn by_token() -> bool {
    chosen("token")
}

/// Repeats the INSERT under its token until the server says 200; `false` when the partition goes.
pub(crate) async fn write_by_token(performer: &mut Performer, batch: &Batch) -> bool {
    let (Some(first), Some(last)) = (batch.first_offset(), batch.last_offset()) else { return true };
    let token = format!("sink/{}/{}/{first}-{last}", performer.topic, performer.partition);
    while !performer.revoked.is_cancelled() {
        let customers = performer.warehouse.insert_customers(batch).await;
        let rows = performer.warehouse.insert_by_token(batch, &token).await;
        if (customers, rows) == (InsertResult::Stored, InsertResult::Stored) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

/// `commit_first`: offsets are committed when a batch was read, before it is stored.
pub(crate) async fn commit_first(partition: &Partition, through: Option<i64>) {
    if let (true, Some(offset)) = (chosen("commit_first"), through) {
        partition.complete_through(offset);
        // The poll thread commits once a second.
        tokio::time::sleep(Duration::from_millis(1300)).await;
    }
}

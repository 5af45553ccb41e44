//! Which rows of a partition are stored already.

use crate::{StoredTable, Warehouse, WarehouseError, client::Request};
use std::ops::Range;

impl Warehouse {
    /// The offsets of a partition that are stored, within `offsets`, sorted. A row that a later version of the same fact
    /// replaced may be absent: storing it again is harmless, because its version is the smaller one.
    pub async fn read_back(
        &self,
        table: StoredTable,
        epoch: u16,
        partition: u32,
        offsets: Range<u64>,
    ) -> Result<Vec<u64>, WarehouseError> {
        let sql = format!(
            "SELECT DISTINCT kafka_offset FROM {table} WHERE kafka_epoch = {epoch} AND kafka_partition = {partition} \
             AND kafka_offset >= {start} AND kafka_offset < {end} ORDER BY kafka_offset FORMAT RowBinary",
            table = table.name(),
            start = offsets.start,
            end = offsets.end,
        );
        let doing = "reading back what is stored";
        let answer = self.execute(Request::new(doing, &sql)).await?;
        let (numbers, rest) = answer.body.as_chunks::<8>();
        if !rest.is_empty() {
            let reason = format!("{} bytes are no list of 64-bit offsets", answer.body.len());
            return Err(WarehouseError::Unreadable { doing, database: self.database().into(), reason });
        }
        Ok(numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }

    /// The highest offset of a partition that is stored; `None` when none is. Parts know their range, so this reads no rows
    /// of most.
    pub async fn highest_offset(
        &self,
        table: StoredTable,
        epoch: u16,
        partition: u32,
    ) -> Result<Option<u64>, WarehouseError> {
        let sql = format!(
            "SELECT maxOrNull(kafka_offset) AS highest FROM {} WHERE kafka_epoch = {epoch} AND kafka_partition = {partition}",
            table.name()
        );
        let answer = self.select("asking for the highest offset stored", &sql, &[]).await?;
        Ok(answer.value(0, "highest").and_then(serde_json::Value::as_u64))
    }

    /// Whether the record of that position lies in dead letters, as far as those are stored.
    pub async fn is_dead_letter(&self, topic: &str, partition: u32, offset: u64) -> Result<bool, WarehouseError> {
        let sql = "SELECT count() AS letters FROM stored_dead_letters \
                   WHERE origin = {topic:String} AND origin_partition = {partition:Int32} AND origin_offset = {offset:Int64}";
        let parameters =
            [("topic", topic.to_owned()), ("partition", partition.to_string()), ("offset", offset.to_string())];
        let answer = self.select("looking for a dead letter", sql, &parameters).await?;
        Ok(answer.value(0, "letters").and_then(serde_json::Value::as_u64).unwrap_or_default() > 0)
    }
}

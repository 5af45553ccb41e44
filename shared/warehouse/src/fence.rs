//! Who may write a partition. A fence row refuses what KILL QUERY cannot see: an INSERT of a predecessor that arrives later.

use crate::{Warehouse, WarehouseError, client::Request};
use bytes::Bytes;
use std::time::Duration;
use uuid::Uuid;

/// KILL … SYNC can wait 30 s for a client that stalled in the middle of its body.
const KILL_TIMEOUT: Duration = Duration::from_secs(45);
/// The server gives an INSERT 20 s (`max_execution_time`); what takes twice as long has no answer to wait for.
const INSERT_TIMEOUT: Duration = Duration::from_secs(40);

/// The right to write one partition of a topic, until someone takes it anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    topic: String,
    partition: u32,
    owner: String,
}

impl Fence {
    /// The attempt that holds it; it appears in the table `sink_fence`.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The condition under which the server accepts an INSERT.
    pub(crate) fn condition(&self) -> String {
        format!(
            "throwIf((SELECT argMax(owner, (generation, owner)) FROM sink_fence \
             WHERE topic = {topic} AND kafka_partition = {partition}) != {owner}, 'fenced') = 0",
            topic = literal(&self.topic),
            partition = self.partition,
            owner = literal(&self.owner),
        )
    }
}

/// A string as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl Warehouse {
    /// Takes a partition's fence for a new attempt: from now on every INSERT of an earlier attempt is refused, our own
    /// included. An error leaves it open whether it was taken; take it again.
    pub async fn take_fence(&self, topic: &str, partition: u32) -> Result<Fence, WarehouseError> {
        let fence = Fence { topic: topic.to_owned(), partition, owner: Uuid::new_v4().to_string() };
        let sql = format!(
            "INSERT INTO sink_fence (topic, kafka_partition, generation, owner) \
             SELECT {topic}, {partition}, max(generation) + 1, {owner} FROM sink_fence \
             WHERE topic = {topic} AND kafka_partition = {partition}",
            topic = literal(topic),
            owner = literal(&fence.owner),
        );
        self.execute(Request { settings: &[("async_insert", "0")], ..Request::new("taking the fence", &sql) }).await?;
        Ok(fence)
    }

    /// Ends the inserts that earlier attempts are still running on a partition, and waits until they are gone.
    pub async fn kill_predecessors(&self, topic: &str, partition: u32) -> Result<(), WarehouseError> {
        let prefix = self.query_id_prefix(topic, partition);
        let sql = format!("KILL QUERY WHERE startsWith(query_id, {}) SYNC", literal(&prefix));
        let request = Request { timeout: KILL_TIMEOUT, ..Request::new("killing a predecessor's inserts", &sql) };
        self.execute(request).await.map(drop)
    }

    pub(crate) fn query_id_prefix(&self, topic: &str, partition: u32) -> String {
        format!("sink/{}/{topic}/{partition}/", self.database())
    }

    /// The number of this incarnation of a topic: 1 for the first, the next for each new `topic_id`. The same id always has
    /// the same number.
    pub async fn assign_epoch(&self, topic: &str, topic_id: &str) -> Result<u16, WarehouseError> {
        let parameters = [("topic", topic.to_owned()), ("topic_id", topic_id.to_owned())];
        // Two sinks that ask at once insert the same row twice, which reads the same.
        let insert = "INSERT INTO kafka_epochs (topic, topic_id, epoch) \
             SELECT {topic:String}, {topic_id:String}, next FROM \
             (SELECT max(epoch) + 1 AS next, countIf(topic_id = {topic_id:String}) AS known FROM kafka_epochs WHERE topic = {topic:String}) \
             WHERE known = 0";
        let doing = "numbering a topic's incarnation";
        let settings = &[("async_insert", "0")];
        self.execute(Request { parameters: &parameters, settings, ..Request::new(doing, insert) }).await?;
        let select = "SELECT min(epoch) AS epoch FROM kafka_epochs WHERE topic = {topic:String} AND topic_id = {topic_id:String}";
        let table = self.select(doing, select, &parameters).await?;
        let epoch =
            table.value(0, "epoch").and_then(serde_json::Value::as_u64).and_then(|epoch| u16::try_from(epoch).ok());
        epoch.filter(|epoch| *epoch > 0).ok_or_else(|| WarehouseError::Unreadable {
            doing,
            database: self.database().into(),
            reason: format!("no epoch was given to topic {topic}"),
        })
    }

    /// Sends rows with an INSERT whose statement is `sql`.
    pub(crate) fn insert_request<'a>(&self, sql: &'a str, body: Bytes) -> Request<'a> {
        Request { body: Some(body), timeout: INSERT_TIMEOUT, ..Request::new("storing rows", sql) }
    }
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_quote_in_a_name_stays_inside_its_literal() {
        assert_eq!(literal(r"a'b\"), r"'a\'b\\'");
    }
}

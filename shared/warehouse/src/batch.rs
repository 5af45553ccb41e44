//! Rows of one Kafka partition, encoded as they come: what one INSERT stores, whole or not at all.

use crate::{CustomerSighting, KafkaPosition, Row, RowBuffer, StoredTable};
use bytes::{Bytes, BytesMut};
use outcry_domain::Timestamp;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

/// A batch being filled. Rows are encoded at once, so it holds bytes and not facts.
#[derive(Debug)]
pub struct Batch {
    table: StoredTable,
    topic: String,
    epoch: u16,
    partition: u32,
    rows: RowBuffer,
    ends: Vec<(u64, usize)>,
    customers: Customers,
}

/// A batch that is ready to be stored. Cheap to clone and to divide: the bytes are shared.
#[derive(Clone, Debug)]
pub struct ClosedBatch {
    table: StoredTable,
    topic: String,
    epoch: u16,
    partition: u32,
    body: Bytes,
    /// Each row's offset, and where it ends in `body`.
    ends: Vec<(u64, usize)>,
    customers: Bytes,
    customer_rows: usize,
}

impl Batch {
    /// An empty batch of this table for one partition of a topic, in its `epoch`.
    pub fn new(table: StoredTable, topic: &str, epoch: u16, partition: u32) -> Self {
        let (rows, customers) = (RowBuffer::default(), Customers::default());
        Self { table, topic: topic.to_owned(), epoch, partition, rows, ends: Vec::new(), customers }
    }

    /// Adds the row of one record. The row's type must be the table's.
    pub fn push<R: Row>(&mut self, offset: u64, row: &R) {
        debug_assert!(R::TABLE == self.table, "{:?} does not go to {}", R::TABLE, self.table.name());
        let position = KafkaPosition { epoch: self.epoch, partition: self.partition, offset };
        row.encode(position, &mut self.rows);
        self.ends.push((offset, self.rows.len()));
        if let Some(sighting) = row.customer() {
            self.customers.add(&sighting);
        }
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// `true` when no row was added.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.rows.len()
    }

    /// Closes it, to be stored.
    pub fn close(self) -> ClosedBatch {
        let (customers, customer_rows) = self.customers.encode();
        ClosedBatch {
            table: self.table,
            topic: self.topic,
            epoch: self.epoch,
            partition: self.partition,
            body: self.rows.into_bytes().into(),
            ends: self.ends,
            customers,
            customer_rows,
        }
    }
}

impl ClosedBatch {
    /// Where it is stored.
    pub fn table(&self) -> StoredTable {
        self.table
    }

    /// The topic it was read from.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Which incarnation of the topic.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The partition it was read from.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// `true` when nothing is left to store.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The offsets of its rows.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.ends.iter().map(|(offset, _)| *offset)
    }

    /// The first row's offset.
    pub fn first_offset(&self) -> Option<u64> {
        self.ends.first().map(|(offset, _)| *offset)
    }

    /// The last row's offset.
    pub fn last_offset(&self) -> Option<u64> {
        self.ends.last().map(|(offset, _)| *offset)
    }

    /// The rows that are not among `present` (sorted offsets, as a read-back gives them). The customers stay whole: storing
    /// one twice changes nothing, and a crash may have stored the items and not them.
    pub fn without(&self, present: &[u64]) -> Self {
        let mut body = BytesMut::new();
        let mut ends = Vec::new();
        let mut start = 0;
        for (offset, end) in &self.ends {
            if present.binary_search(offset).is_err() {
                body.extend_from_slice(&self.body[start..*end]);
                ends.push((*offset, body.len()));
            }
            start = *end;
        }
        Self { body: body.freeze(), ends, ..self.clone() }
    }

    /// The two halves, to find the row that the server refuses.
    pub fn halves(&self) -> (Self, Self) {
        let (first, second) = self.ends.split_at(self.ends.len() / 2);
        let cut = first.last().map_or(0, |(_, end)| *end);
        let second = second.iter().map(|(offset, end)| (*offset, end - cut)).collect();
        (
            Self { body: self.body.slice(..cut), ends: first.to_vec(), ..self.clone() },
            Self { body: self.body.slice(cut..), ends: second, ..self.clone() },
        )
    }

    pub(crate) fn body(&self) -> Bytes {
        self.body.clone()
    }

    pub(crate) fn customers(&self) -> (Bytes, usize) {
        (self.customers.clone(), self.customer_rows)
    }
}

/// Customers seen in a batch, one row for each brand, channel, address and name.
#[derive(Debug, Default)]
struct Customers {
    hasher: RandomState,
    /// By customer and the hash of brand, channel and name.
    seen: HashMap<(u128, u64), Seen>,
}

#[derive(Debug)]
struct Seen {
    brand: String,
    channel: &'static str,
    address: String,
    name: String,
    first: Timestamp,
    last: Timestamp,
}

impl Customers {
    fn add(&mut self, sighting: &CustomerSighting<'_>) {
        let customer = sighting.customer;
        let Some(address) = &customer.address else {
            return;
        };
        let name = customer.name.as_deref().unwrap_or_default();
        let rest = self.hasher.hash_one((sighting.brand, sighting.channel, name));
        let seen = self.seen.entry((customer.customer_id.0, rest)).or_insert_with(|| Seen {
            brand: sighting.brand.to_owned(),
            channel: sighting.channel,
            address: address.clone(),
            name: name.to_owned(),
            first: sighting.at,
            last: sighting.at,
        });
        seen.first = seen.first.min(sighting.at);
        seen.last = seen.last.max(sighting.at);
    }

    fn encode(self) -> (Bytes, usize) {
        let mut rows = RowBuffer::default();
        let count = self.seen.len();
        for ((customer_id, _), seen) in self.seen {
            rows.string(&seen.brand);
            rows.uuid(customer_id);
            rows.string(seen.channel);
            rows.string(&seen.address);
            rows.string(&seen.name);
            rows.time(seen.first);
            rows.time(seen.last);
        }
        (rows.into_bytes().into(), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outcry_domain::Customer;

    struct Letter(u8);

    impl Row for Letter {
        const TABLE: StoredTable = StoredTable::Coverage;

        fn encode(&self, position: KafkaPosition, row: &mut RowBuffer) {
            row.string([self.0; 2]);
            row.u64(position.offset);
        }
    }

    fn batch(letters: &[u8]) -> ClosedBatch {
        let mut batch = Batch::new(StoredTable::Coverage, "t", 1, 0);
        for (position, letter) in letters.iter().enumerate() {
            batch.push(10 + position as u64, &Letter(*letter));
        }
        batch.close()
    }

    fn rows(batch: &ClosedBatch) -> Vec<(u64, Vec<u8>)> {
        let mut start = 0;
        let mut rows = Vec::new();
        for (offset, end) in &batch.ends {
            rows.push((*offset, batch.body[start..*end].to_vec()));
            start = *end;
        }
        assert_eq!(start, batch.body.len());
        rows
    }

    #[test]
    fn what_is_present_is_left_out_and_the_rest_keeps_its_bytes() {
        let whole = batch(b"abcd");
        let missing = whole.without(&[10, 12, 99]);
        assert_eq!(missing.offsets().collect::<Vec<_>>(), [11, 13]);
        assert_eq!(rows(&missing), [rows(&whole)[1].clone(), rows(&whole)[3].clone()]);
        assert!(whole.without(&[10, 11, 12, 13]).is_empty());
    }

    #[test]
    fn halves_are_the_whole() {
        let whole = batch(b"abcde");
        let (first, second) = whole.halves();
        assert_eq!([rows(&first), rows(&second)].concat(), rows(&whole));
        assert_eq!((first.len(), second.len()), (2, 3));
        assert_eq!((second.first_offset(), second.last_offset()), (Some(12), Some(14)));
        let (left, right) = batch(b"a").halves();
        assert!(left.is_empty() && right.len() == 1);
    }

    #[test]
    fn a_customer_seen_twice_is_one_row_from_the_first_to_the_last_time() {
        let mut customers = Customers::default();
        let customer = |name: &str| Customer {
            customer_id: outcry_domain::CustomerId(1),
            address: Some("ana@example.org".into()),
            name: Some(name.into()),
        };
        for (name, at) in [("Ana", 20), ("Ana", 10), ("Ana B.", 15), ("Ana", 30)] {
            let customer = customer(name);
            let at = Timestamp::from_millis(at);
            customers.add(&CustomerSighting { brand: "acme", channel: "email", customer: &customer, at });
        }
        let ana = customers.seen.values().find(|seen| seen.name == "Ana").unwrap();
        assert_eq!((ana.first.as_millis(), ana.last.as_millis()), (10, 30));
        assert_eq!(customers.encode().1, 2);
    }
}

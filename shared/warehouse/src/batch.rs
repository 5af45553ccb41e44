//! Rows of one Kafka partition, encoded as they come: what one INSERT stores, whole or not at all.

use crate::{CustomerSighting, KafkaPosition, Row, RowBuffer, StoredTable, native::Columns};
use bytes::Bytes;
use outcry_domain::Timestamp;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// Rows of one partition, encoded as they are added: it holds bytes and not facts. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug)]
pub struct Batch {
    table: StoredTable,
    topic: Arc<str>,
    epoch: u16,
    partition: u32,
    rows: Arc<Columns>,
    offsets: Vec<u64>,
    customers: Arc<Customers>,
    /// The row that is being added.
    cells: RowBuffer,
}

impl Batch {
    /// An empty batch of this table for one partition of a topic, in its `epoch`.
    pub fn new(table: StoredTable, topic: &str, epoch: u16, partition: u32) -> Self {
        Self {
            table,
            topic: topic.into(),
            epoch,
            partition,
            rows: Arc::new(Columns::new(table.columns())),
            offsets: Vec::new(),
            customers: Arc::default(),
            cells: RowBuffer::default(),
        }
    }

    /// The batch without its rows, and with their room; a new one if somebody else still holds the rows.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        let Some(rows) = Arc::get_mut(&mut self.rows) else {
            return Self::new(self.table, &self.topic, self.epoch, self.partition);
        };
        rows.clear();
        self.offsets.clear();
        self.customers = Arc::default();
        self
    }

    /// Adds the row of one record. The row's type must be the table's.
    pub fn push<R: Row>(&mut self, offset: u64, row: &R) {
        debug_assert!(R::TABLE == self.table, "{:?} does not go to {}", R::TABLE, self.table.name());
        let position = KafkaPosition { epoch: self.epoch, partition: self.partition, offset };
        self.cells.clear();
        row.encode(position, &mut self.cells);
        // Unshared while the batch is being filled, so nothing is copied.
        let fits = Arc::make_mut(&mut self.rows).push(self.cells.as_bytes());
        // The server refuses columns of different lengths, so that nothing is taken for stored.
        debug_assert!(fits, "a row of {} is not what its columns say", self.table.name());
        self.offsets.push(offset);
        if let Some(sighting) = row.customer() {
            Arc::make_mut(&mut self.customers).add(&sighting);
        }
    }

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
        self.offsets.len()
    }

    /// `true` when there is no row to store.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of its rows, about.
    pub fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// The offsets of its rows.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.offsets.iter().copied()
    }

    /// The first row's offset.
    pub fn first_offset(&self) -> Option<u64> {
        self.offsets.first().copied()
    }

    /// The last row's offset.
    pub fn last_offset(&self) -> Option<u64> {
        self.offsets.last().copied()
    }

    /// The rows that are not among `present` (sorted offsets, as a read-back gives them). The customers stay whole: storing
    /// one twice changes nothing, and a crash may have stored the items and not them.
    pub fn without(&self, present: &[u64]) -> Self {
        self.rows_where(|_, offset| present.binary_search(&offset).is_err())
    }

    /// The two halves, to find the row that the server refuses.
    pub fn halves(&self) -> (Self, Self) {
        let middle = self.len() / 2;
        (self.rows_where(|position, _| position < middle), self.rows_where(|position, _| position >= middle))
    }

    fn rows_where(&self, wanted: impl Fn(usize, u64) -> bool) -> Self {
        let keep: Vec<bool> =
            self.offsets.iter().enumerate().map(|(position, offset)| wanted(position, *offset)).collect();
        let kept = self.offsets.iter().zip(&keep).filter(|(_, keep)| **keep);
        Self {
            rows: Arc::new(self.rows.filtered(&keep)),
            offsets: kept.map(|(offset, _)| *offset).collect(),
            ..self.clone()
        }
    }

    /// The rows as they are sent: one block of the Native format.
    pub(crate) fn block(&self) -> Bytes {
        self.rows.block().into()
    }

    /// The customers as they are sent, and how many rows that is.
    pub(crate) fn customers(&self) -> (Bytes, usize) {
        self.customers.encode()
    }
}

/// Customers seen in a batch, one row for each brand, channel, address and name.
#[derive(Clone, Debug, Default)]
struct Customers {
    hasher: RandomState,
    /// By customer and the hash of brand, channel and name.
    seen: HashMap<(u128, u64), Seen>,
}

#[derive(Clone, Debug)]
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

    fn encode(&self) -> (Bytes, usize) {
        let mut rows = RowBuffer::default();
        for ((customer_id, _), seen) in &self.seen {
            rows.string(&seen.brand);
            rows.uuid(*customer_id);
            rows.string(seen.channel);
            rows.string(&seen.address);
            rows.string(&seen.name);
            rows.time(seen.first);
            rows.time(seen.last);
        }
        (rows.into_bytes().into(), self.seen.len())
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

    fn batch_at(first: u64, letters: &[u8]) -> Batch {
        let rows = Arc::new(Columns::new(&[("letters", "String"), ("offset", "UInt64")]));
        let mut batch = Batch { rows, ..Batch::new(StoredTable::Coverage, "t", 1, 0) };
        for (position, letter) in letters.iter().enumerate() {
            // A blank leaves its offset out.
            if *letter != b' ' {
                batch.push(first + position as u64, &Letter(*letter));
            }
        }
        batch
    }

    fn batch(letters: &[u8]) -> Batch {
        batch_at(10, letters)
    }

    #[test]
    fn what_is_present_is_left_out_and_the_rest_keeps_its_bytes() {
        let whole = batch(b"abcd");
        let missing = whole.without(&[10, 12, 99]);
        assert_eq!(missing.offsets().collect::<Vec<_>>(), [11, 13]);
        assert_eq!(missing.block(), batch(b" b d").block());
        assert!(whole.without(&[10, 11, 12, 13]).is_empty());
    }

    #[test]
    fn halves_are_the_whole() {
        let whole = batch(b"abcde");
        let (first, second) = whole.halves();
        assert_eq!((first.block(), second.block()), (batch(b"ab").block(), batch(b"  cde").block()));
        assert_eq!((first.len(), second.len()), (2, 3));
        assert_eq!((second.first_offset(), second.last_offset()), (Some(12), Some(14)));
        let (left, right) = batch(b"a").halves();
        assert!(left.is_empty() && right.len() == 1);
    }

    #[test]
    fn an_emptied_batch_is_as_new_and_leaves_the_rows_to_whoever_holds_them() {
        let first = batch(b"abc");
        let held = first.clone();
        let (before, again) = (held.block(), first.emptied());
        assert!(again.is_empty() && again.bytes() == 0);
        assert_eq!(held.block(), before);
        let mut again = held.emptied();
        again.push(20, &Letter(b'z'));
        assert_eq!(again.block(), batch_at(20, b"z").block());
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

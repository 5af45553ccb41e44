//! Where history is read from.

use indicatif::ProgressBar;
use outcry_domain::{Channel, Item, SCHEMA_VERSION, Timestamp, schema::stated_version};
use outcry_kafka::{BatchLimits, KafkaConfig, KafkaError, Record, scan_batches};
use outcry_warehouse::{ItemPlace, StoredItem, Stretch, Warehouse, WarehouseError};
use tokio::sync::mpsc;

/// Enough for one question to ClickHouse to be worth it.
const ROWS: usize = 2000;
/// Items come with all their columns.
const ROWS_A_PAGE: usize = 500;
/// A batch is held twice or three times while it is worked on.
const BYTES: usize = 8 << 20;

/// An item that may need other labels.
pub struct Candidate {
    /// Where it is stored.
    pub place: ItemPlace,
    /// The record's key.
    pub key: Vec<u8>,
    /// The item as JSON; from Kafka, to the byte.
    pub payload: Vec<u8>,
    /// When this sighting of it was produced.
    pub ingested_at: Timestamp,
}

impl Candidate {
    fn new(item: &Item, key: Vec<u8>, payload: Vec<u8>) -> Self {
        Self { place: ItemPlace::of(item), key, payload, ingested_at: item.ingested_at }
    }

    /// An item that ClickHouse holds.
    pub fn of_stored(item: &Item) -> Result<Self, serde_json::Error> {
        Ok(Self::new(item, item.case_id.to_string().into_bytes(), serde_json::to_vec(item)?))
    }
}

/// A record of `items.raw`.
pub enum Picked {
    /// One that was asked for.
    Item(Box<Candidate>),
    /// It is not an item: the classifier has put it into dead letters.
    Unreadable,
    /// It is of this schema version.
    Newer(u16),
}

/// Which items of Kafka are asked for; the others are read from ClickHouse.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The time that reports use is this or later.
    pub from: Timestamp,
    /// And before this.
    pub to: Timestamp,
    /// Produced at this time or later.
    pub ingested_from: Timestamp,
}

/// The records of the topic in batches; the bar follows.
pub fn batches(
    kafka: &KafkaConfig,
    topic: &str,
    wanted: Wanted,
    bar: ProgressBar,
) -> mpsc::Receiver<Result<Vec<Picked>, KafkaError>> {
    scan_batches(kafka, topic, BatchLimits { rows: ROWS, bytes: BYTES }, move |record| {
        bar.inc(1);
        pick(record, wanted)
    })
}

fn pick(record: Record, wanted: Wanted) -> Option<Picked> {
    let Ok(item) = serde_json::from_slice::<Item>(&record.payload) else {
        return match stated_version(&record.payload) {
            Some(version) if version != SCHEMA_VERSION => Some(Picked::Newer(version)),
            _ => Some(Picked::Unreadable),
        };
    };
    if !item.version_is_known() {
        return Some(Picked::Newer(item.schema_version));
    }
    let asked_for = (wanted.from..wanted.to).contains(&item.effective_at) && item.ingested_at >= wanted.ingested_from;
    asked_for.then(|| Picked::Item(Box::new(Candidate::new(&item, record.key.unwrap_or_default(), record.payload))))
}

/// The stored items of one brand and channel, page by page.
pub struct Pages {
    warehouse: Warehouse,
    brand: String,
    channel: Channel,
    stretch: Stretch,
    /// Where slices end; the last one first.
    slices: Vec<Timestamp>,
    after: Option<ItemPlace>,
    rows: usize,
}

impl Pages {
    /// From the beginning.
    pub async fn new(
        warehouse: &Warehouse,
        (brand, channel): (&str, Channel),
        stretch: Stretch,
    ) -> Result<Self, WarehouseError> {
        let mut slices = warehouse.slices((brand, channel), &stretch, ROWS_A_PAGE).await?;
        slices.reverse();
        let (warehouse, brand) = (warehouse.clone(), brand.to_owned());
        Ok(Self { warehouse, brand, channel, stretch, slices, after: None, rows: ROWS_A_PAGE })
    }

    /// The next ones; `None` after the last. Pages of large items are smaller.
    pub async fn next(&mut self) -> Result<Option<Vec<StoredItem>>, WarehouseError> {
        while let Some(until) = self.slices.last() {
            let part = (self.brand.as_str(), self.channel);
            match self.warehouse.stored_items(part, &self.stretch, self.after.as_ref(), *until, self.rows).await {
                Err(WarehouseError::TooLarge { .. }) if self.rows > 1 => self.rows /= 2,
                Err(error) => return Err(error),
                Ok(page) => {
                    if page.len() < self.rows {
                        self.slices.pop();
                    }
                    self.rows = (self.rows * 2).min(ROWS_A_PAGE);
                    let Some(last) = page.last() else { continue };
                    self.after = Some(ItemPlace::of(&last.item));
                    return Ok(Some(page));
                }
            }
        }
        Ok(None)
    }
}

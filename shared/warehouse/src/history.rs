//! What is stored, read again: for a newer classifier.
//!
//! Reads the tables and not the views, so it needs a user who may (`migrator`, `sink`). Every question names a stretch of
//! the sort key (brand, channel, occurred_at, item_id), so that it costs what it returns and not what is stored.

use crate::{
    StoredTable, Table, Warehouse, WarehouseError,
    client::Request,
    fence::literal,
    reports::date_time,
    rows::read::{self, Cells},
};
use outcry_domain::{Channel, Classification, Item, ItemId, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// Where an item stands in the table: its sort key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemPlace {
    /// The brand's id.
    pub brand: String,
    /// The channel.
    pub channel: Channel,
    /// The source's own time.
    pub occurred_at: Timestamp,
    /// The item.
    pub item_id: ItemId,
}

impl ItemPlace {
    /// Where an item stands.
    pub fn of(item: &Item) -> Self {
        let (brand, channel) = (item.brand.clone(), item.channel);
        Self { brand, channel, occurred_at: item.occurred_at, item_id: item.item_id }
    }
}

/// What the table says of an item: its labels, and which sighting of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLabels {
    /// When the sighting that is stored was produced.
    pub ingested_at: Timestamp,
    /// Release, taxonomy and model.
    pub classifier_version: String,
    /// The labels, in the form of [`labels_by_axis`].
    pub labels: Vec<(&'static str, String)>,
}

/// What a classification says, by axis, as columns name them: labels, score and whether a person should look. Confidences
/// and evidence are left out; several labels are sorted and apart by commas.
pub fn labels_by_axis(found: &Classification) -> Vec<(&'static str, String)> {
    let mut secondary: Vec<&str> = found.secondary_categories.iter().map(|scored| scored.label.as_str()).collect();
    secondary.sort_unstable();
    vec![
        ("language", found.language.label.clone()),
        ("kind", found.kind.label.as_str().to_owned()),
        ("category", found.category.label.as_str().to_owned()),
        ("secondary_categories", secondary.join(",")),
        ("subcategory", found.subcategory.as_ref().map(|scored| scored.label.clone()).unwrap_or_default()),
        ("urgency", found.urgency.label.as_str().to_owned()),
        ("urgency_score", found.urgency_score.to_string()),
        ("sentiment", found.sentiment.label.as_str().to_owned()),
        ("needs_review", found.needs_review.to_string()),
    ]
}

/// A stored item with its labels.
#[derive(Clone, Debug)]
pub struct StoredItem {
    /// The item, without its customer's name.
    pub item: Item,
    /// Its labels.
    pub stored: StoredLabels,
    /// Stored again, it would be the same row but for the labels. `false` when its customer's address is gone.
    pub whole: bool,
}

/// Which part of history.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Items whose time for metrics is this or later.
    pub from: Timestamp,
    /// And earlier than this.
    pub to: Timestamp,
    /// Only sightings that were produced before this.
    pub ingested_before: Timestamp,
}

const DOING: &str = "reading stored items";
/// A few thousand places do not fit into what ClickHouse takes by default.
const QUERY_BYTES: &str = "8388608";
const LABEL_COLUMNS: &str = "ingested_at, classifier_version, language, kind, \
    category, secondary_categories, subcategory, urgency, urgency_score, sentiment, needs_review";

impl Stretch {
    fn condition(&self) -> String {
        format!(
            "effective_at >= {} AND effective_at < {} AND ingested_at < {}",
            time(self.from),
            time(self.to),
            time(self.ingested_before)
        )
    }
}

fn time(at: Timestamp) -> String {
    format!("toDateTime64({}, 3, 'UTC')", literal(&date_time(at)))
}

impl Warehouse {
    /// The labels of the items that are stored, of those asked for: a few thousand at once.
    pub async fn stored_labels(
        &self,
        places: impl IntoIterator<Item = &ItemPlace>,
    ) -> Result<HashMap<ItemId, StoredLabels>, WarehouseError> {
        let keys: Vec<String> = places
            .into_iter()
            .map(|place| {
                let (brand, at) = (literal(&place.brand), literal(&date_time(place.occurred_at)));
                format!("({brand},'{}',{at},'{}')", place.channel.as_str(), place.item_id)
            })
            .collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!(
            "SELECT item_id, {LABEL_COLUMNS} FROM {} FINAL WHERE (brand, channel, occurred_at, item_id) IN ({})",
            StoredTable::Items.name(),
            keys.join(",")
        );
        let request = Request { settings: &[("max_query_size", QUERY_BYTES)], ..Request::new(DOING, &sql) };
        let table = self.table_of(request).await?;
        let places = read::places(&table);
        let read = |row: &Vec<serde_json::Value>| {
            let mut cells = Cells::new(&places, row);
            let found = (cells.id("item_id"), labels(&mut cells));
            cells.done(found)
        };
        table.rows.iter().map(|row| read(row).map_err(|reason| self.unreadable(reason))).collect()
    }

    /// About how many items a stretch holds, and in which brands and channels.
    pub async fn stretch(&self, stretch: &Stretch) -> Result<(u64, Vec<(String, Channel)>), WarehouseError> {
        let sql = format!(
            "SELECT brand, channel, count() AS items FROM {} WHERE {} GROUP BY brand, channel ORDER BY brand, channel",
            StoredTable::Items.name(),
            stretch.condition()
        );
        let table = self.select(DOING, &sql, &[]).await?;
        let places = read::places(&table);
        let (mut total, mut parts) = (0, Vec::new());
        for row in &table.rows {
            let mut cells = Cells::new(&places, row);
            let (brand, channel, items) = (cells.text("brand"), cells.text("channel"), cells.number::<u64>("items"));
            cells.done(()).map_err(|reason| self.unreadable(reason))?;
            total += items;
            let channel = serde_json::from_value(channel.clone().into())
                .map_err(|_| self.unreadable(format!("{channel:?} is no channel")))?;
            parts.push((brand, channel));
        }
        Ok((total, parts))
    }

    /// Times that cut a brand's and channel's items of a stretch, in the order of the table, into slices of about `rows`: the
    /// last time of each. Without them, each page of [`Warehouse::stored_items`] would look at all that is left.
    pub async fn slices(
        &self,
        (brand, channel): (&str, Channel),
        stretch: &Stretch,
        rows: usize,
    ) -> Result<Vec<Timestamp>, WarehouseError> {
        let sql = format!(
            "SELECT DISTINCT max(occurred_at) AS last FROM \
             (SELECT occurred_at, intDiv(row_number() OVER (ORDER BY occurred_at, item_id) - 1, {rows}) AS slice \
             FROM {} WHERE brand = {} AND channel = '{}' AND {}) GROUP BY slice ORDER BY last",
            StoredTable::Items.name(),
            literal(brand),
            channel.as_str(),
            stretch.condition()
        );
        let table = self.select(DOING, &sql, &[]).await?;
        let places = read::places(&table);
        let read = |row: &Vec<serde_json::Value>| {
            let mut cells = Cells::new(&places, row);
            let last = cells.time("last");
            cells.done(last)
        };
        table.rows.iter().map(|row| read(row).map_err(|reason| self.unreadable(reason))).collect()
    }

    /// The next `rows` items of a brand and channel in a stretch, in the order of the table: those after `after`, the last
    /// one had, that happened at `until` or before.
    pub async fn stored_items(
        &self,
        (brand, channel): (&str, Channel),
        stretch: &Stretch,
        after: Option<&ItemPlace>,
        until: Timestamp,
        rows: usize,
    ) -> Result<Vec<StoredItem>, WarehouseError> {
        let mut condition = format!(
            "brand = {} AND channel = '{}' AND occurred_at <= {}",
            literal(brand),
            channel.as_str(),
            time(until)
        );
        if let Some(after) = after {
            let (at, id) = (time(after.occurred_at), after.item_id);
            // The first condition is for the index, which does not look into tuples.
            condition
                .push_str(&format!(" AND occurred_at >= {at} AND (occurred_at, item_id) > ({at}, toUUID('{id}'))"));
        }
        let skipped = ["evidence", "amounts"];
        let columns: Vec<&str> = StoredTable::Items.column_names().filter(|name| !skipped.contains(name)).collect();
        let sql = format!(
            "SELECT {} FROM {} FINAL WHERE {condition} AND {} \
             ORDER BY occurred_at, item_id LIMIT {rows}",
            columns.join(", "),
            StoredTable::Items.name(),
            stretch.condition()
        );
        let table = self.select(DOING, &sql, &[]).await?;
        let addresses = self.addresses(brand, &table).await?;
        let places = read::places(&table);
        let read = |row: &Vec<serde_json::Value>| -> Result<StoredItem, String> {
            let mut cells = Cells::new(&places, row);
            let address = addresses.get(&cells.text("customer_id")).cloned();
            let known = cells.flag("customer_known");
            let item = read::item(&mut cells, address);
            let stored = labels(&mut cells);
            let item = cells.done(item)?.ok_or("a row is no item")?;
            let whole = known == item.customer.address.is_some();
            Ok(StoredItem { item, stored, whole })
        };
        table.rows.iter().map(|row| read(row).map_err(|reason| self.unreadable(reason))).collect()
    }

    /// The addresses of the customers of these rows who have one.
    async fn addresses(&self, brand: &str, table: &Table) -> Result<HashMap<String, String>, WarehouseError> {
        let known = |row: usize| table.value(row, "customer_known").and_then(serde_json::Value::as_bool) == Some(true);
        let ids: BTreeSet<&str> = (0..table.rows.len())
            .filter(|row| known(*row))
            .filter_map(|row| table.value(row, "customer_id")?.as_str())
            .collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<String> = ids.into_iter().map(literal).collect();
        let sql = format!(
            "SELECT toString(customer_id) AS id, max(address) AS known FROM stored_customers \
             WHERE brand = {} AND customer_id IN ({}) AND address != '' GROUP BY id",
            literal(brand),
            ids.join(",")
        );
        let found = self.select("reading the customers of stored items", &sql, &[]).await?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(found.rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect())
    }

    fn unreadable(&self, reason: String) -> WarehouseError {
        WarehouseError::Unreadable { doing: DOING, database: self.database().into(), reason }
    }
}

fn labels(row: &mut Cells<'_>) -> StoredLabels {
    let mut secondary = row.texts("secondary_categories");
    secondary.sort_unstable();
    StoredLabels {
        ingested_at: row.time("ingested_at"),
        classifier_version: row.text("classifier_version"),
        labels: vec![
            ("language", row.text("language")),
            ("kind", row.text("kind")),
            ("category", row.text("category")),
            ("secondary_categories", secondary.join(",")),
            ("subcategory", row.text("subcategory")),
            ("urgency", row.text("urgency")),
            ("urgency_score", row.number::<u8>("urgency_score").to_string()),
            ("sentiment", row.text("sentiment")),
            ("needs_review", row.flag("needs_review").to_string()),
        ],
    }
}

//! The few numbers that the demo and the console show first.

use crate::{ReportParams, Table, Warehouse, WarehouseError};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// How many contacts have a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The label.
    pub label: String,
    /// How many.
    pub count: u64,
}

/// An issue that comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repeat {
    /// The brand's id.
    pub brand: String,
    /// What it is about.
    pub category: String,
    /// How many customers had to come back.
    pub customers: u64,
    /// How many cases repeat an earlier one.
    pub cases: u64,
}

/// What is stored, at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Rows of the view `items`.
    pub items: u64,
    /// Rows of the view `items` beyond the first of each item: 0, or something is broken.
    pub duplicates_in_view: u64,
    /// Contacts by channel, both directions.
    pub contacts: BTreeMap<String, u64>,
    /// Customers' contacts by channel: no spam, own words, reposts or machines.
    pub counted: BTreeMap<String, u64>,
    /// Customers' contacts by kind, most frequent first.
    pub kinds: Vec<Count>,
    /// Customers' contacts by category, most frequent first.
    pub categories: Vec<Count>,
    /// Customers' contacts by urgency, most frequent first.
    pub urgencies: Vec<Count>,
    /// Rows of the view `dead_letters`, of every brand.
    pub dead_letters: u64,
    /// Dead letters by reason, most frequent first.
    pub dead_letter_reasons: Vec<Count>,
    /// What sources listed and was not produced.
    pub missing: u64,
    /// What keeps coming back, most frequent first.
    pub repeats: Vec<Repeat>,
    /// Median seconds to the first response, by channel and for `all`.
    pub median_first_response_seconds: BTreeMap<String, Option<f64>>,
}

const ITEMS: &str = "SELECT count() AS items, count() - uniqExact(item_id) AS duplicates FROM items \
    WHERE {brand:String} = '' OR brand = {brand:String}";
const CONTACTS: &str = "SELECT channel, count() AS contacts, countIf(counted) AS counted_contacts FROM contacts \
    WHERE {brand:String} = '' OR brand = {brand:String} GROUP BY channel";
const LABELS: &str = "SELECT pair.1 AS axis, pair.2 AS label, count() AS contacts FROM contacts \
    ARRAY JOIN [('kind', kind), ('category', category), ('urgency', urgency)] AS pair \
    WHERE counted AND ({brand:String} = '' OR brand = {brand:String}) GROUP BY axis, label ORDER BY contacts DESC, label";
const REFUSED: &str =
    "SELECT reason, count() AS letters FROM dead_letters GROUP BY reason ORDER BY letters DESC, reason";
const MISSING: &str =
    "SELECT sum(missing_once) AS missing FROM coverage WHERE {brand:String} = '' OR brand = {brand:String}";
const RECENT: &str = "SELECT contact_id, case_id, brand, channel, direction, first_at, kind, category, urgency, urgency_score, \
    sentiment, language, subject, substringUTF8(text, 1, 200) AS text FROM contacts \
    WHERE contact_id IN (SELECT contact_id FROM items WHERE {brand:String} = '' OR brand = {brand:String} \
    ORDER BY ingested_at DESC LIMIT {items:UInt32}) ORDER BY last_ingested_at DESC, contact_id LIMIT {limit:UInt32}";
const LETTERS: &str = "SELECT refused_at, service, reason, detail, origin, origin_partition, origin_offset, payload_size \
    FROM dead_letters ORDER BY refused_at DESC, dead_letter_id LIMIT {limit:UInt32}";

fn number(table: &Table, row: usize, column: &str) -> u64 {
    table.value(row, column).and_then(Value::as_u64).unwrap_or(0)
}

fn text(table: &Table, row: usize, column: &str) -> String {
    table.value(row, column).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Warehouse {
    /// What is stored, of one brand or of all.
    pub async fn summary(&self, brand: Option<&str>) -> Result<Summary, WarehouseError> {
        let doing = "summing up";
        let of_brand = [("brand", brand.unwrap_or_default().to_owned())];
        let mut summary = Summary::default();
        let items = self.select(doing, ITEMS, &of_brand).await?;
        summary.items = number(&items, 0, "items");
        summary.duplicates_in_view = number(&items, 0, "duplicates");
        let contacts = self.select(doing, CONTACTS, &of_brand).await?;
        for row in 0..contacts.rows.len() {
            let channel = text(&contacts, row, "channel");
            summary.contacts.insert(channel.clone(), number(&contacts, row, "contacts"));
            summary.counted.insert(channel, number(&contacts, row, "counted_contacts"));
        }
        let labels = self.select(doing, LABELS, &of_brand).await?;
        for row in 0..labels.rows.len() {
            let count = Count { label: text(&labels, row, "label"), count: number(&labels, row, "contacts") };
            match text(&labels, row, "axis").as_str() {
                "kind" => summary.kinds.push(count),
                "category" => summary.categories.push(count),
                _ => summary.urgencies.push(count),
            }
        }
        let refused = self.select(doing, REFUSED, &[]).await?;
        summary.dead_letter_reasons = (0..refused.rows.len())
            .map(|row| Count { label: text(&refused, row, "reason"), count: number(&refused, row, "letters") })
            .collect();
        summary.dead_letters = summary.dead_letter_reasons.iter().map(|reason| reason.count).sum();
        summary.missing = number(&self.select(doing, MISSING, &of_brand).await?, 0, "missing");
        let params = ReportParams { brand: brand.map(str::to_owned), ..ReportParams::default() };
        let repeats = self.report("repeats", &params).await?;
        summary.repeats = (0..repeats.rows.len())
            .map(|row| Repeat {
                brand: text(&repeats, row, "brand"),
                category: text(&repeats, row, "category"),
                customers: number(&repeats, row, "customers"),
                cases: number(&repeats, row, "cases"),
            })
            .collect();
        let responses = self.report("response-times", &params).await?;
        for row in 0..responses.rows.len() {
            let median = responses.value(row, "median_seconds").and_then(Value::as_f64);
            summary.median_first_response_seconds.insert(text(&responses, row, "channel"), median);
        }
        Ok(summary)
    }

    /// The contacts heard of last, newest first; the first 200 characters of each.
    pub async fn recent_contacts(&self, brand: Option<&str>, limit: u32) -> Result<Table, WarehouseError> {
        // Folding every contact to show the last few would read all of them; a call is rarely made of more events than this.
        let items = limit.saturating_mul(20);
        let brand = brand.unwrap_or_default().to_owned();
        let parameters = [("brand", brand), ("items", items.to_string()), ("limit", limit.to_string())];
        self.select("listing recent contacts", RECENT, &parameters).await
    }

    /// Sources and windows of which something is missing.
    pub async fn gaps(&self, brand: Option<&str>) -> Result<Table, WarehouseError> {
        let params = ReportParams { brand: brand.map(str::to_owned), ..ReportParams::default() };
        self.report("gaps", &params).await
    }

    /// The latest dead letters, newest first.
    pub async fn dead_letters(&self, limit: u32) -> Result<Table, WarehouseError> {
        self.select("listing dead letters", LETTERS, &[("limit", limit.to_string())]).await
    }
}

//! A row of `stored_items` as the item that it was made of: the way back of `item.rs`, column by column.
//!
//! What a row does not hold comes back empty: the customer's name and address, which live in their own table, and whether an
//! absent text was absent or empty. Stored again, the item gives the same row.

use crate::Table;
use outcry_domain::{
    Call, Customer, CustomerId, Item, Mail, Origin, Post, Timestamp,
    channel::{Attachment, AutomaticMail},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{collections::HashMap, str::FromStr};

/// One row of an answer, by the names of its columns. What is missing or of another form is remembered as a problem.
pub(crate) struct Cells<'a> {
    places: &'a HashMap<&'a str, usize>,
    row: &'a [Value],
    problem: Option<String>,
}

/// Where each column of a table stands.
pub(crate) fn places(table: &Table) -> HashMap<&str, usize> {
    table.columns.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect()
}

impl<'a> Cells<'a> {
    pub fn new(places: &'a HashMap<&'a str, usize>, row: &'a [Value]) -> Self {
        Self { places, row, problem: None }
    }

    /// What was read, unless something could not be.
    pub fn done<T>(self, read: T) -> Result<T, String> {
        self.problem.map_or(Ok(read), Err)
    }

    fn value(&mut self, column: &str) -> &'a Value {
        match self.places.get(column).and_then(|place| self.row.get(*place)) {
            Some(value) => value,
            None => {
                self.problem = Some(format!("there is no column {column}"));
                &Value::Null
            }
        }
    }

    fn wrong<T: Default>(&mut self, column: &str) -> T {
        self.problem.get_or_insert_with(|| format!("the column {column} does not hold what it should"));
        T::default()
    }

    pub fn text(&mut self, column: &str) -> String {
        let value = self.value(column);
        value.as_str().map(str::to_owned).unwrap_or_else(|| self.wrong(column))
    }

    fn optional(&mut self, column: &str) -> Option<String> {
        Some(self.text(column)).filter(|text| !text.is_empty())
    }

    pub fn texts(&mut self, column: &str) -> Vec<String> {
        let read = self
            .value(column)
            .as_array()
            .map(|list| list.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        read.flatten().unwrap_or_else(|| self.wrong(column))
    }

    pub fn flag(&mut self, column: &str) -> bool {
        let value = self.value(column);
        value.as_bool().unwrap_or_else(|| self.wrong(column))
    }

    pub fn number<T: TryFrom<i128> + Default>(&mut self, column: &str) -> T {
        self.optional_number(column).unwrap_or_else(|| self.wrong(column))
    }

    fn optional_number<T: TryFrom<i128>>(&mut self, column: &str) -> Option<T> {
        let value = self.value(column);
        let number = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
        number.and_then(|number| T::try_from(number).ok())
    }

    pub fn id<T: FromStr + Default>(&mut self, column: &str) -> T {
        let text = self.text(column);
        text.parse().unwrap_or_else(|_| self.wrong(column))
    }

    pub fn time(&mut self, column: &str) -> Timestamp {
        self.optional_time(column).unwrap_or_else(|| {
            self.problem.get_or_insert_with(|| format!("the column {column} holds no time"));
            Timestamp::UNKNOWN
        })
    }

    fn optional_time(&mut self, column: &str) -> Option<Timestamp> {
        self.value(column).as_str().and_then(|text| text.parse().ok())
    }

    /// A word that is one of an enumeration's.
    fn word<T: DeserializeOwned>(&mut self, column: &str) -> Option<T> {
        let value = self.value(column);
        let read = serde_json::from_value(value.clone()).ok();
        if read.is_none() {
            self.problem.get_or_insert_with(|| format!("the column {column} holds none of its words"));
        }
        read
    }

    fn optional_word<T: DeserializeOwned>(&mut self, column: &str) -> Option<T> {
        if self.text(column).is_empty() { None } else { self.word(column) }
    }

    fn object(&mut self, column: &str) -> Map<String, Value> {
        match self.optional(column) {
            None => Map::new(),
            Some(text) => serde_json::from_str(&text).unwrap_or_else(|_| self.wrong(column)),
        }
    }
}

/// The item of a row that holds every column of it. `address` is the customer's, from the table of customers.
pub(crate) fn item(row: &mut Cells<'_>, address: Option<String>) -> Option<Item> {
    let customer = Customer { customer_id: CustomerId(row.id::<CustomerId>("customer_id").0), address, name: None };
    Some(Item {
        schema_version: row.number("schema_version"),
        item_id: row.id("item_id"),
        contact_id: row.id("contact_id"),
        case_id: row.id("case_id"),
        revision: row.number("revision"),
        brand: row.text("brand"),
        channel: row.word("channel")?,
        source: row.text("source"),
        provider: row.text("provider"),
        direction: row.word("direction")?,
        author_kind: row.word("author_kind")?,
        customer,
        subject: row.optional("subject"),
        text: row.text("text"),
        quoted_text: row.text("quoted_text"),
        language: row.optional("source_language"),
        occurred_at: row.time("occurred_at"),
        received_at: row.time("received_at"),
        ingested_at: row.time("ingested_at"),
        effective_at: row.time("effective_at"),
        clock_suspect: row.flag("clock_suspect"),
        mail: mail(row),
        call: call(row),
        post: post(row),
        origin: Origin {
            connector: row.text("origin_connector"),
            raw_size: row.number("origin_raw_size"),
            raw_sha256: row.text("origin_raw_sha256"),
            backfill: row.flag("origin_backfill"),
            truncated: row.flag("origin_truncated"),
            location: row.optional("origin_location"),
        },
        unknown_fields: row.object("unknown_fields"),
    })
}

fn mail(row: &mut Cells<'_>) -> Option<Mail> {
    let mail = Mail {
        message_id: row.text("mail_message_id"),
        in_reply_to: row.texts("mail_in_reply_to"),
        references: row.texts("mail_references"),
        from: row.text("mail_from"),
        reply_to: row.texts("mail_reply_to"),
        to: row.texts("mail_to"),
        cc: row.texts("mail_cc"),
        automatic: row.optional_word::<AutomaticMail>("mail_automatic"),
        list_id: row.optional("mail_list_id"),
        bulk: row.flag("mail_bulk"),
        bounce_of: row.optional("mail_bounce_of"),
        // No column holds these: they are in the topics only.
        bounce_status: None,
        calendar: None,
        forwarded_by_staff: row.flag("mail_forwarded_by_staff"),
        wrapper: row.optional("mail_wrapper"),
        attachments: row.word::<Vec<Attachment>>("mail_attachments").unwrap_or_default(),
        defects: row.texts("mail_defects"),
    };
    (row.text("channel") == "email" || mail != Mail::default()).then_some(mail)
}

/// An item that is a call has an event, if only `other`.
fn call(row: &mut Cells<'_>) -> Option<Call> {
    let event = row.optional_word("call_event")?;
    Some(Call {
        call_id: row.text("call_id"),
        leg_id: row.optional("call_leg_id"),
        event,
        provider_event: row.text("call_provider_event"),
        sequence: row.optional_number("call_sequence"),
        from: row.optional("call_from"),
        to: row.optional("call_to"),
        queue: row.optional("call_queue"),
        agent: row.optional("call_agent"),
        ivr_choice: row.optional("call_ivr_choice"),
        wait_ms: row.optional_number("call_wait_ms"),
        talk_ms: row.optional_number("call_talk_ms"),
        hold_ms: row.optional_number("call_hold_ms"),
        duration_ms: row.optional_number("call_duration_ms"),
        answered_at: row.optional_time("call_answered_at"),
        ended_at: row.optional_time("call_ended_at"),
        started_at: row.optional_time("call_started_at"),
        abandoned: row.value("call_abandoned").as_bool(),
        cause: row.optional("call_cause"),
        recording_url: row.optional("call_recording_url"),
        transcript: row.optional("call_transcript"),
        cost: row.optional("call_cost"),
        provider_fields: row.object("call_provider_fields"),
    })
}

/// An item that is a post has an event.
fn post(row: &mut Cells<'_>) -> Option<Post> {
    let event = row.optional_word("post_event")?;
    Some(Post {
        uri: row.text("post_uri"),
        event,
        url: row.optional("post_url"),
        handle: row.optional("post_handle"),
        in_reply_to: row.optional("post_in_reply_to"),
        conversation: row.optional("post_conversation"),
        repost_of: row.optional("post_repost_of"),
        visibility: row.optional("post_visibility"),
        followers: row.optional_number("post_followers"),
        engagement: row.optional_number("post_engagement"),
        rating: row.optional_number("post_rating"),
        edited_at: row.optional_time("post_edited_at"),
    })
}

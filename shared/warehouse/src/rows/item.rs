//! A classified item as a row of `stored_items`.

use super::{CustomerSighting, FLAG, ID, KafkaPosition, OPTIONAL_TIME, Row, StoredTable, TEXT, TEXTS, TIME, WORD};
use crate::RowBuffer;
use outcry_domain::{Call, Classification, ClassifiedItem, Item, Mail, Origin, Post};

const COUNT: &str = "UInt64";
const OPTIONAL_COUNT: &str = "Nullable(UInt64)";
const SHARE: &str = "Float32";

/// The order is that of [`ClassifiedItem`]'s `encode`, part by part.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    // item
    ("item_id", ID),
    ("contact_id", ID),
    ("case_id", ID),
    ("revision", "Int64"),
    ("schema_version", "UInt16"),
    ("brand", WORD),
    ("channel", WORD),
    ("source", WORD),
    ("provider", WORD),
    ("direction", WORD),
    ("author_kind", WORD),
    ("customer_id", ID),
    ("customer_known", FLAG),
    ("subject", TEXT),
    ("text", TEXT),
    ("quoted_text", TEXT),
    ("source_language", WORD),
    ("occurred_at", TIME),
    ("received_at", TIME),
    ("ingested_at", TIME),
    ("effective_at", TIME),
    ("clock_suspect", FLAG),
    // mail
    ("mail_message_id", TEXT),
    ("mail_in_reply_to", TEXTS),
    ("mail_references", TEXTS),
    ("mail_from", TEXT),
    ("mail_reply_to", TEXTS),
    ("mail_to", TEXTS),
    ("mail_cc", TEXTS),
    ("mail_automatic", WORD),
    ("mail_list_id", WORD),
    ("mail_bulk", FLAG),
    ("mail_bounce_of", TEXT),
    ("mail_forwarded_by_staff", FLAG),
    ("mail_wrapper", WORD),
    ("mail_attachments", "Array(Tuple(name String, media_type String, size UInt64, sha256 String))"),
    ("mail_defects", TEXTS),
    // call
    ("call_id", TEXT),
    ("call_leg_id", TEXT),
    ("call_event", WORD),
    ("call_provider_event", WORD),
    ("call_sequence", "Nullable(Int64)"),
    ("call_from", TEXT),
    ("call_to", TEXT),
    ("call_queue", WORD),
    ("call_agent", WORD),
    ("call_ivr_choice", WORD),
    ("call_wait_ms", OPTIONAL_COUNT),
    ("call_talk_ms", OPTIONAL_COUNT),
    ("call_hold_ms", OPTIONAL_COUNT),
    ("call_duration_ms", OPTIONAL_COUNT),
    ("call_answered_at", OPTIONAL_TIME),
    ("call_ended_at", OPTIONAL_TIME),
    ("call_started_at", OPTIONAL_TIME),
    ("call_abandoned", "Nullable(Bool)"),
    ("call_cause", WORD),
    ("call_recording_url", TEXT),
    ("call_transcript", TEXT),
    ("call_cost", TEXT),
    ("call_provider_fields", TEXT),
    // post
    ("post_uri", TEXT),
    ("post_event", WORD),
    ("post_url", TEXT),
    ("post_handle", TEXT),
    ("post_in_reply_to", TEXT),
    ("post_conversation", TEXT),
    ("post_repost_of", TEXT),
    ("post_visibility", WORD),
    ("post_followers", OPTIONAL_COUNT),
    ("post_engagement", OPTIONAL_COUNT),
    ("post_rating", "Nullable(UInt8)"),
    ("post_edited_at", OPTIONAL_TIME),
    // origin
    ("origin_connector", WORD),
    ("origin_raw_size", COUNT),
    ("origin_raw_sha256", TEXT),
    ("origin_backfill", FLAG),
    ("origin_truncated", FLAG),
    ("origin_location", TEXT),
    // classification
    ("classifier_version", WORD),
    ("language", WORD),
    ("language_confidence", SHARE),
    ("kind", WORD),
    ("kind_confidence", SHARE),
    ("category", WORD),
    ("category_confidence", SHARE),
    ("secondary_categories", "Array(LowCardinality(String))"),
    ("secondary_confidences", "Array(Float32)"),
    ("subcategory", WORD),
    ("subcategory_confidence", SHARE),
    ("urgency", WORD),
    ("urgency_confidence", SHARE),
    ("urgency_score", "UInt8"),
    ("sentiment", WORD),
    ("sentiment_confidence", SHARE),
    ("amounts", "Array(Tuple(value String, currency LowCardinality(String)))"),
    ("needs_review", FLAG),
    (
        "evidence",
        "Array(Tuple(axis LowCardinality(String), label LowCardinality(String), field LowCardinality(String), \
         start UInt32, end UInt32, signal LowCardinality(String), weight Float32))",
    ),
    ("unknown_fields", TEXT),
    ("kafka_epoch", "UInt16"),
    ("kafka_partition", "UInt32"),
    ("kafka_offset", COUNT),
];

/// An absent mail is empty strings, empty arrays and false: one zero byte for each column.
const MAIL_COLUMNS: usize = 15;

impl Row for ClassifiedItem {
    const TABLE: StoredTable = StoredTable::Items;

    fn encode(&self, position: KafkaPosition, row: &mut RowBuffer) {
        item(&self.item, row);
        match &self.item.mail {
            Some(of) => mail(of, row),
            None => row.zeros(MAIL_COLUMNS),
        }
        match &self.item.call {
            Some(of) => call(of, row),
            None => no_call(row),
        }
        match &self.item.post {
            Some(of) => post(of, row),
            None => no_post(row),
        }
        origin(&self.item.origin, row);
        classification(&self.classification, row);
        row.json_object(&self.item.unknown_fields);
        position.encode(row);
    }

    fn customer(&self) -> Option<CustomerSighting<'_>> {
        let item = &self.item;
        item.customer.address.as_ref()?;
        Some(CustomerSighting {
            brand: &item.brand,
            channel: item.channel.as_str(),
            customer: &item.customer,
            at: item.effective_at,
        })
    }
}

fn item(item: &Item, row: &mut RowBuffer) {
    row.uuid(item.item_id.0);
    row.uuid(item.contact_id.0);
    row.uuid(item.case_id.0);
    row.i64(item.revision);
    row.u16(item.schema_version);
    row.string(&item.brand);
    row.string(item.channel.as_str());
    row.string(&item.source);
    row.string(&item.provider);
    row.string(item.direction.as_str());
    row.string(item.author_kind.as_str());
    row.uuid(item.customer.customer_id.0);
    row.bool(item.customer.address.is_some());
    row.optional_string(item.subject.as_ref());
    row.string(&item.text);
    row.string(&item.quoted_text);
    row.optional_string(item.language.as_ref());
    row.time(item.occurred_at);
    row.time(item.received_at);
    row.time(item.ingested_at);
    row.time(item.effective_at);
    row.bool(item.clock_suspect);
}

fn mail(mail: &Mail, row: &mut RowBuffer) {
    row.string(&mail.message_id);
    row.strings(&mail.in_reply_to);
    row.strings(&mail.references);
    row.string(&mail.from);
    row.strings(&mail.reply_to);
    row.strings(&mail.to);
    row.strings(&mail.cc);
    row.optional_string(mail.automatic.map(outcry_domain::channel::AutomaticMail::as_str));
    row.optional_string(mail.list_id.as_ref());
    row.bool(mail.bulk);
    row.optional_string(mail.bounce_of.as_ref());
    row.bool(mail.forwarded_by_staff);
    row.optional_string(mail.wrapper.as_ref());
    row.length(mail.attachments.len());
    for attachment in &mail.attachments {
        row.string(&attachment.name);
        row.string(&attachment.media_type);
        row.u64(attachment.size);
        row.string(&attachment.sha256);
    }
    row.strings(&mail.defects);
}

fn call(call: &Call, row: &mut RowBuffer) {
    row.string(&call.call_id);
    row.optional_string(call.leg_id.as_ref());
    row.string(call.event.as_str());
    row.string(&call.provider_event);
    row.nullable(call.sequence, RowBuffer::i64);
    for text in [&call.from, &call.to, &call.queue, &call.agent, &call.ivr_choice] {
        row.optional_string(text.as_ref());
    }
    for stated in [call.wait_ms, call.talk_ms, call.hold_ms, call.duration_ms] {
        row.nullable(stated, RowBuffer::u64);
    }
    for stated in [call.answered_at, call.ended_at, call.started_at] {
        row.nullable(stated, RowBuffer::time);
    }
    row.nullable(call.abandoned, RowBuffer::bool);
    for text in [&call.cause, &call.recording_url, &call.transcript, &call.cost] {
        row.optional_string(text.as_ref());
    }
    row.json_object(&call.provider_fields);
}

/// Four empty strings, NULL, five empty strings, eight NULLs, five empty strings.
fn no_call(row: &mut RowBuffer) {
    row.zeros(4);
    row.nulls(1);
    row.zeros(5);
    row.nulls(8);
    row.zeros(5);
}

fn post(post: &Post, row: &mut RowBuffer) {
    row.string(&post.uri);
    row.string(post.event.as_str());
    let texts = [&post.url, &post.handle, &post.in_reply_to, &post.conversation, &post.repost_of, &post.visibility];
    for text in texts {
        row.optional_string(text.as_ref());
    }
    row.nullable(post.followers, RowBuffer::u64);
    row.nullable(post.engagement, RowBuffer::u64);
    row.nullable(post.rating, RowBuffer::u8);
    row.nullable(post.edited_at, RowBuffer::time);
}

/// Eight empty strings, four NULLs.
fn no_post(row: &mut RowBuffer) {
    row.zeros(8);
    row.nulls(4);
}

fn origin(origin: &Origin, row: &mut RowBuffer) {
    row.string(&origin.connector);
    row.u64(origin.raw_size);
    row.string(&origin.raw_sha256);
    row.bool(origin.backfill);
    row.bool(origin.truncated);
    row.optional_string(origin.location.as_ref());
}

fn classification(classification: &Classification, row: &mut RowBuffer) {
    row.string(&classification.classifier_version);
    row.string(&classification.language.label);
    row.f32(classification.language.confidence);
    row.string(classification.kind.label.as_str());
    row.f32(classification.kind.confidence);
    row.string(classification.category.label.as_str());
    row.f32(classification.category.confidence);
    row.length(classification.secondary_categories.len());
    for secondary in &classification.secondary_categories {
        row.string(secondary.label.as_str());
    }
    row.length(classification.secondary_categories.len());
    for secondary in &classification.secondary_categories {
        row.f32(secondary.confidence);
    }
    row.optional_string(classification.subcategory.as_ref().map(|scored| &scored.label));
    row.f32(classification.subcategory.as_ref().map_or(0.0, |scored| scored.confidence));
    row.string(classification.urgency.label.as_str());
    row.f32(classification.urgency.confidence);
    row.u8(classification.urgency_score);
    row.string(classification.sentiment.label.as_str());
    row.f32(classification.sentiment.confidence);
    row.length(classification.amounts.len());
    for amount in &classification.amounts {
        row.string(&amount.value);
        row.string(&amount.currency);
    }
    row.bool(classification.needs_review);
    row.length(classification.evidence.len());
    for evidence in &classification.evidence {
        row.string(&evidence.axis);
        row.string(&evidence.label);
        row.string(match evidence.field {
            outcry_domain::classification::Field::Subject => "subject",
            outcry_domain::classification::Field::Text => "text",
        });
        row.u32(evidence.start);
        row.u32(evidence.end);
        row.string(&evidence.signal);
        row.f32(evidence.weight);
    }
}

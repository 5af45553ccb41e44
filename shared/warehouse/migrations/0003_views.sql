-- What analysts read. FINAL hides repetitions that merges have not removed yet; SQL SECURITY DEFINER lets a user who may
-- read nothing but these views read them. A column without a comment here has the comment of the stored column of its name.
CREATE OR REPLACE VIEW items SQL SECURITY DEFINER AS
SELECT
    item_id, contact_id, case_id, revision, schema_version, brand, channel, source, provider, direction, author_kind,
    customer_id, customer_known, subject, text, quoted_text, source_language,
    occurred_at, received_at, ingested_at, effective_at, clock_suspect,
    mail_message_id, mail_in_reply_to, mail_references, mail_automatic, mail_list_id, mail_bulk, mail_bounce_of,
    mail_forwarded_by_staff, mail_wrapper, mail_attachments, mail_defects,
    call_id, call_leg_id, call_event, call_provider_event, call_sequence, call_queue, call_agent, call_ivr_choice,
    call_wait_ms, call_talk_ms, call_hold_ms, call_duration_ms, call_answered_at, call_ended_at, call_started_at,
    call_abandoned, call_cause, call_recording_url, call_transcript, call_cost,
    post_uri, post_event, post_url, post_in_reply_to, post_conversation, post_repost_of, post_visibility, post_followers,
    post_engagement, post_rating, post_edited_at,
    origin_connector, origin_raw_size, origin_raw_sha256, origin_backfill, origin_truncated, origin_location,
    classifier_version, language, language_confidence, kind, kind_confidence, category, category_confidence,
    secondary_categories, secondary_confidences, subcategory, subcategory_confidence, urgency, urgency_confidence,
    urgency_score, sentiment, sentiment_confidence, amounts, needs_review, evidence, unknown_fields,
    kafka_epoch, kafka_partition, kafka_offset
FROM stored_items FINAL
COMMENT 'Every item once: one mail, one version of a post (or its deletion), one event of a call, with its labels. Addresses, numbers and handles are left out.';

CREATE OR REPLACE VIEW case_events SQL SECURITY DEFINER AS
SELECT
    event_id, case_id, brand, occurred_at, ingested_at, actor, action, text, due_at, compensation_value,
    compensation_currency, satisfaction_score, contact_id, label_axis, label, customer_id, same_as, unknown_fields
FROM stored_case_events FINAL
COMMENT 'What people did with cases, each event once: taken, solved, reopened, promised, compensated, labels corrected.';

CREATE OR REPLACE VIEW coverage SQL SECURITY DEFINER AS
SELECT
    brand, channel, source, scope, window_start, window_end, listed, produced, missing, missing_examples, note,
    checked_at, unknown_fields
FROM stored_coverage FINAL
COMMENT 'What each source listed, what was produced of it and what is missing, by window: the proof that nothing was skipped.';

CREATE OR REPLACE VIEW dead_letters SQL SECURITY DEFINER AS
SELECT
    dead_letter_id, service, reason, detail, origin, origin_partition, origin_offset, received_at, refused_at,
    length(payload) AS payload_size, kafka_partition, kafka_offset
FROM stored_dead_letters FINAL
COMMENT 'What was refused and why, each refusal once. The bytes themselves are kept apart, because they may be personal.';

ALTER TABLE dead_letters COMMENT COLUMN payload_size 'Size of the refused payload in bytes';

CREATE OR REPLACE VIEW customers SQL SECURITY DEFINER AS
SELECT
    brand,
    customer_id,
    argMax(seen.channel, (seen.last, seen.channel)) AS channel,
    argMax(seen.address, (seen.address != '', seen.last, seen.address)) AS address,
    argMax(seen.name, (seen.name != '', seen.last, seen.name)) AS name,
    arraySort(groupUniqArrayIf(seen.name, seen.name != '')) AS names,
    min(seen.first) AS first_seen_at,
    max(seen.last) AS last_seen_at
FROM
(
    SELECT brand, customer_id, channel, address, name, min(first_seen_at) AS first, max(last_seen_at) AS last
    FROM stored_customers
    GROUP BY brand, customer_id, channel, address, name
) AS seen
GROUP BY brand, customer_id
COMMENT 'Who the customers are (personal): latest address and name of each. Not granted with the other views.';

ALTER TABLE customers
    COMMENT COLUMN channel 'Channel on which the customer was last seen: email, phone or social',
    COMMENT COLUMN address 'Latest address (personal)',
    COMMENT COLUMN name 'Latest name (personal); empty if none was ever shown',
    COMMENT COLUMN names 'Every name shown (personal)',
    COMMENT COLUMN first_seen_at 'First time seen, UTC',
    COMMENT COLUMN last_seen_at 'Last time seen, UTC';

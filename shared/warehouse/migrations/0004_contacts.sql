-- A contact is a fold over its items that gives the same row for any order of arrival and any repetition: every aggregate
-- is a min, a max, a set, or an argMin/argMax over a key that no two items share, because it ends in item_id. The keys are
-- 256-bit numbers, (flag, revision or time in ms, item_id) from the top, which fold four times faster than tuples.
--
-- `shown` picks the item whose words and labels stand for the contact: the latest version of a post that was published, the
-- latest event of a call that has words, the mail itself.
CREATE OR REPLACE VIEW contact_folds SQL SECURITY DEFINER AS
WITH
    corrections AS
    (
        SELECT
            brand,
            contact_id,
            argMaxIf(label, (occurred_at, event_id), label_axis = 'kind') AS kind,
            argMaxIf(label, (occurred_at, event_id), label_axis = 'category') AS category,
            argMaxIf(label, (occurred_at, event_id), label_axis = 'subcategory') AS subcategory,
            argMaxIf(label, (occurred_at, event_id), label_axis = 'urgency') AS urgency,
            argMaxIf(label, (occurred_at, event_id), label_axis = 'sentiment') AS sentiment
        FROM stored_case_events FINAL
        WHERE action = 'label_correction'
        GROUP BY brand, contact_id
    ),
    folded AS
    (
        SELECT
            i.brand AS brand,
            i.channel AS channel,
            i.contact_id AS contact_id,
            argMin(i.case_id, by_revision + if(i.customer_known, 0, flag)) AS case_id,
            argMin(i.customer_id, by_revision + if(i.customer_known, 0, flag)) AS customer_id,
            max(i.customer_known) AS customer_known,
            argMin(i.direction, by_revision + if(i.customer_known, 0, flag)) AS direction,
            argMin(i.author_kind, by_revision) AS author_kind,
            argMin(i.provider, by_revision) AS provider,
            argMax(i.subject, by_revision + if(shown, flag, 0)) AS subject,
            argMax(i.text, by_revision + if(shown, flag, 0)) AS text,
            argMax(i.quoted_text, by_revision + if(shown, flag, 0)) AS quoted_text,
            argMax(i.language, by_revision + if(shown, flag, 0)) AS language,
            argMax(i.kind, by_revision + if(shown, flag, 0)) AS kind,
            argMax(i.category, by_revision + if(shown, flag, 0)) AS category,
            argMax(i.secondary_categories, by_revision + if(shown, flag, 0)) AS secondary_categories,
            argMax(i.subcategory, by_revision + if(shown, flag, 0)) AS subcategory,
            argMax(i.urgency, by_revision + if(shown, flag, 0)) AS urgency,
            argMax(i.urgency_score, by_revision + if(shown, flag, 0)) AS urgency_score,
            argMax(i.sentiment, by_revision + if(shown, flag, 0)) AS sentiment,
            argMax(i.needs_review, by_revision + if(shown, flag, 0)) AS needs_review,
            argMax(i.post_event, by_revision + if(i.post_event IN ('deleted', 'hidden') AND i.revision <= 0, flag, 0)) AS post_event,
            max(i.post_url) AS url,
            argMax(i.post_rating, by_revision) AS rating,
            max(i.post_repost_of) AS repost_of,
            max(i.post_followers) AS followers,
            max(i.post_engagement) AS engagement,
            max(i.mail_message_id) AS message_id,
            max(i.mail_automatic) AS automatic,
            max(i.mail_bulk) AS bulk,
            max(i.origin_backfill) AS backfill,
            max(i.clock_suspect) AS clock_suspect,
            arraySort(groupUniqArray(i.source)) AS sources,
            count() AS n_items,
            min(i.occurred_at) AS occurred_at,
            ifNull(least(min(i.effective_at), min(i.call_started_at)), min(i.effective_at)) AS first_at,
            ifNull(greatest(max(i.effective_at), max(i.call_ended_at)), max(i.effective_at)) AS last_at,
            max(i.ingested_at) AS last_ingested_at,
            max(i.call_id) AS call_id,
            argMax(i.call_cost, by_revision + if(i.call_cost != '', flag, 0)) AS cost,
            minOrNullIf(i.effective_at, i.call_event = 'queued') AS queue_seen_at,
            min(if(i.records, i.call_started_at, NULL)) AS queue_stated_at,
            minOrNullIf(i.effective_at, i.call_event = 'answered' AND NOT i.of_a_leg) AS answer_seen_at,
            min(i.call_answered_at) AS answer_stated_at,
            maxOrNullIf(i.effective_at, i.call_event = 'ended' AND NOT i.of_a_leg AND i.direction = 'inbound') AS end_in_seen_at,
            maxOrNullIf(i.effective_at, i.call_event = 'ended' AND NOT i.of_a_leg AND i.direction != 'inbound') AS end_out_seen_at,
            max(if(i.direction = 'inbound' AND NOT i.of_a_leg, i.call_ended_at, NULL)) AS end_in_stated_at,
            max(if(i.direction != 'inbound' AND NOT i.of_a_leg, i.call_ended_at, NULL)) AS end_out_stated_at,
            groupUniqArrayIf(i.call_leg_id, i.came_in) AS legs_in,
            groupUniqArrayIf((i.call_leg_id, i.effective_at), i.of_a_leg AND i.call_event = 'answered') AS leg_answers,
            groupUniqArrayIf((i.call_leg_id, ifNull(i.call_ended_at, i.effective_at)), i.of_a_leg AND i.call_event = 'ended') AS leg_ends,
            arraySort(groupUniqArrayIf(
                (toUnixTimestamp64Milli(assumeNotNull(i.call_answered_at)),
                 toUnixTimestamp64Milli(assumeNotNull(i.call_answered_at)) + toInt64(assumeNotNull(i.call_talk_ms))),
                isNotNull(i.call_answered_at) AND isNotNull(i.call_talk_ms))) AS talks,
            max(i.call_wait_ms) AS wait_stated_ms,
            max(i.call_talk_ms) AS talk_stated_ms,
            max(i.call_hold_ms) AS hold_stated_ms,
            max(i.call_duration_ms) AS duration_stated_ms,
            arraySort(groupUniqArrayIf(toUnixTimestamp64Milli(i.effective_at), i.call_event = 'held')) AS held_ms,
            arraySort(groupUniqArrayIf(toUnixTimestamp64Milli(i.effective_at), i.call_event = 'resumed')) AS resumed_ms,
            argMin(i.call_agent, by_time + multiIf(i.call_agent = '', 2 * flag, NOT i.took_it, flag, 0)) AS agent,
            arraySort(groupUniqArrayIf(i.call_agent, i.call_agent != '')) AS agents,
            argMin(i.call_queue, by_time + if(i.call_queue = '', flag, 0)) AS queue,
            argMin(i.call_ivr_choice, by_time + if(i.call_ivr_choice = '', flag, 0)) AS ivr_choice,
            argMax(i.call_cause, by_time + multiIf(i.call_cause = '', 0, i.call_event != 'ended', flag, 2 * flag)) AS cause,
            argMax(i.call_recording_url, by_revision + if(i.call_recording_url != '', flag, 0)) AS recording_url,
            argMax(i.call_transcript, by_revision + if(i.call_transcript != '', flag, 0)) AS transcript,
            max(i.call_event = 'transferred' OR i.call_cause = 'forwarded') AS transfer_seen,
            uniqExactIf(i.call_agent, i.call_agent != '' AND i.took_it) AS n_agents_in_turn,
            max(i.call_event = 'voicemail') AS voicemail,
            max(ifNull(i.call_abandoned, false)) AS abandoned_stated,
            max(isNotNull(i.call_abandoned)) AS abandoned_known
        FROM
        (
            SELECT
                *,
                multiIf(channel = 'phone', text != '', channel = 'social', post_event = 'published', true) AS shown,
                toUInt256(reinterpretAsUInt128(item_id)) AS id,
                -- Asterisk's records name the queue and begin with the call; other providers' events say when it was queued.
                provider = 'asterisk' AND call_queue != '' AND call_event IN ('ringing', 'ended', 'voicemail') AS records,
                -- Telnyx tells of each leg and of its direction only as it begins. The leg that came in is answered by the application,
                -- and its end alone is the end of the call.
                provider = 'telnyx' AND call_leg_id != '' AND call_provider_event = 'call.initiated' AND direction = 'inbound' AS came_in,
                provider = 'telnyx' AND call_leg_id != '' AND call_provider_event IN ('call.answered', 'call.hangup') AS of_a_leg,
                call_event = 'answered' OR isNotNull(call_answered_at) AS took_it,
                bitShiftLeft(toUInt256(1), 200) AS flag,
                -- The highest bit is flipped, so that negative numbers come first.
                bitShiftLeft(toUInt256(bitXor(reinterpretAsUInt64(revision), bitShiftLeft(toUInt64(1), 63))), 128) + id AS by_revision,
                bitShiftLeft(toUInt256(bitXor(reinterpretAsUInt64(toUnixTimestamp64Milli(effective_at)), bitShiftLeft(toUInt64(1), 63))), 128) + id AS by_time
            FROM stored_items FINAL
        ) AS i
        GROUP BY i.brand, i.channel, i.contact_id
    )
SELECT
    f.brand AS brand,
    f.channel AS channel,
    f.contact_id AS contact_id,
    f.case_id AS case_id,
    f.customer_id AS customer_id,
    f.customer_known AS customer_known,
    f.direction AS direction,
    f.author_kind AS author_kind,
    f.provider AS provider,
    f.sources AS sources,
    f.n_items AS n_items,
    f.first_at AS first_at,
    f.last_at AS last_at,
    f.occurred_at AS occurred_at,
    f.last_ingested_at AS last_ingested_at,
    f.clock_suspect AS clock_suspect,
    f.backfill AS backfill,
    f.post_event = 'deleted' AS deleted,
    f.post_event = 'hidden' AS hidden,
    if(f.post_event IN ('deleted', 'hidden'), '', f.subject) AS subject,
    if(f.post_event IN ('deleted', 'hidden'), '', f.text) AS text,
    if(f.post_event IN ('deleted', 'hidden'), '', f.quoted_text) AS quoted_text,
    f.language AS language,
    toString(coalesce(nullIf(c.kind, ''), f.kind)) AS kind,
    toString(coalesce(nullIf(c.category, ''), f.category)) AS category,
    f.secondary_categories AS secondary_categories,
    toString(coalesce(nullIf(c.subcategory, ''), f.subcategory)) AS subcategory,
    toString(coalesce(nullIf(c.urgency, ''), f.urgency)) AS urgency,
    f.urgency_score AS urgency_score,
    toString(coalesce(nullIf(c.sentiment, ''), f.sentiment)) AS sentiment,
    f.needs_review AS needs_review,
    ifNull(concat(c.kind, c.category, c.subcategory, c.urgency, c.sentiment) != '', false) AS corrected,
    f.message_id AS message_id,
    f.automatic AS automatic,
    f.bulk AS bulk,
    f.direction_is_outbound AND f.message_id != '' AND (f.brand, f.message_id) IN
    (
        SELECT brand, mail_bounce_of FROM stored_items WHERE mail_bounce_of != ''
    ) AS bounced,
    f.url AS url,
    f.repost_of AS repost_of,
    f.followers AS followers,
    f.engagement AS engagement,
    f.rating AS rating,
    f.direction_is_inbound AND kind NOT IN ('spam', 'own') AND f.repost_of = ''
        AND (f.channel = 'phone' OR f.author_kind != 'automatic') AS counted,
    f.call_id AS call_id,
    coalesce(f.queue_seen_at, f.queue_stated_at) AS queued_at,
    arrayMap(leg -> leg.2, arrayFilter(leg -> NOT has(f.legs_in, leg.1), f.leg_answers)) AS agents_answered_at,
    arrayMap(leg -> leg.2, arrayFilter(leg -> empty(f.legs_in) OR has(f.legs_in, leg.1), f.leg_ends)) AS legs_ended_at,
    arrayFilter(at -> isNotNull(at), arrayConcat(agents_answered_at, [f.answer_seen_at, f.answer_stated_at])) AS taken_times,
    -- The end of a leg to an agent is not the end of a call that came in.
    arrayFilter(at -> isNotNull(at), arrayConcat(legs_ended_at, [f.end_in_seen_at, f.end_in_stated_at],
        if(f.direction_is_inbound, [], [f.end_out_seen_at, f.end_out_stated_at]))) AS end_times,
    if(empty(end_times), NULL, arrayMax(end_times)) AS ended_at,
    -- A machine that took our call is no person; an answer that arrives late does not lie behind the end.
    if(empty(taken_times) OR (f.voicemail = 1 AND NOT f.direction_is_inbound), NULL,
        if(isNull(ended_at), arrayMin(taken_times), least(arrayMin(taken_times), assumeNotNull(ended_at)))) AS answered_at,
    coalesce(f.hold_stated_ms, if(empty(f.held_ms), NULL, toUInt64(greatest(0,
        arraySum(f.resumed_ms) - arraySum(f.held_ms)
        + if(length(f.held_ms) > length(f.resumed_ms) AND isNotNull(ended_at),
             (length(f.held_ms) - length(f.resumed_ms)) * toUnixTimestamp64Milli(assumeNotNull(ended_at)), 0))))) AS hold_ms,
    dateDiff('ms', ifNull(queued_at, f.first_at), if(f.direction_is_inbound, coalesce(answered_at, ended_at), NULL)) AS waited,
    dateDiff('ms', answered_at, ended_at) - toInt64(ifNull(hold_ms, 0)) AS talked,
    dateDiff('ms', f.first_at, ended_at) AS lasted,
    coalesce(f.wait_stated_ms, toUInt64(waited * (waited > 0))) AS wait_ms,
    -- The conversations that are stated with their times, one after the other or at once: the union of their spans.
    arrayFold((done, talk) -> (greatest(done.1, talk.2), done.2 + greatest(0, talk.2 - greatest(talk.1, done.1))),
        f.talks, (toInt64(-9000000000000), toInt64(0))).2 AS talk_spans_ms,
    if(f.voicemail = 1 AND NOT f.direction_is_inbound, NULL,
        coalesce(if(isNull(f.talk_stated_ms), NULL, greatest(assumeNotNull(f.talk_stated_ms), toUInt64(talk_spans_ms))),
            toUInt64(talked * (talked > 0)))) AS talk_ms,
    -- One of several records of a call states only its own part.
    coalesce(if(f.provider = 'asterisk', NULL, f.duration_stated_ms), toUInt64(lasted * (lasted > 0)), f.duration_stated_ms) AS duration_ms,
    f.agent AS agent,
    f.agents AS agents,
    f.queue AS queue,
    f.ivr_choice AS ivr_choice,
    f.cause AS cause,
    f.recording_url AS recording_url,
    f.transcript AS transcript,
    f.cost AS cost,
    f.transfer_seen = 1 OR f.n_agents_in_turn > 1 AS transferred,
    f.voicemail = 1 AS voicemail,
    f.direction_is_inbound AND isNotNull(ended_at) AND isNull(answered_at)
        AND (f.abandoned_stated OR (f.abandoned_known = 0 AND (isNotNull(queued_at) OR f.queue != '') AND NOT voicemail)) AS abandoned,
    multiIf(
        f.channel = 'phone' AND f.direction_is_inbound, answered_at,
        f.channel = 'phone', if(ifNull(talk_ms, 0) >= 30000 AND NOT voicemail, ifNull(answered_at, f.first_at), NULL),
        f.direction_is_outbound AND f.author_kind != 'automatic' AND f.repost_of = '' AND NOT bounced, f.first_at,
        NULL) AS responded_at,
    if(isNull(responded_at) AND f.direction_is_outbound AND f.channel != 'phone' AND f.repost_of = '' AND NOT bounced,
        f.first_at, responded_at) AS acknowledged_at
FROM
(
    SELECT *, direction = 'inbound' AS direction_is_inbound, direction = 'outbound' AS direction_is_outbound FROM folded
) AS f
LEFT JOIN corrections AS c ON f.brand = c.brand AND f.contact_id = c.contact_id
COMMENT 'Folds items to contacts; the views contacts, calls and cases read it. Not for analysts.';

ALTER TABLE contact_folds
    COMMENT COLUMN message_id 'Message-ID of the mail, without brackets',
    COMMENT COLUMN agents_answered_at 'When legs to agents were answered, where a provider tells of legs, UTC',
    COMMENT COLUMN legs_ended_at 'When the legs that are the call ended, where a provider tells of legs, UTC',
    COMMENT COLUMN taken_times 'Every time at which a person may have taken the call, UTC',
    COMMENT COLUMN end_times 'Every time at which the call may have ended, UTC',
    COMMENT COLUMN talk_spans_ms 'Union of the conversations that are stated with their times, ms',
    COMMENT COLUMN waited 'From queue or start to answer or end of an inbound call, ms',
    COMMENT COLUMN talked 'From answer to end of a call without holds, ms',
    COMMENT COLUMN lasted 'From start to end of a call, ms',
    COMMENT COLUMN wait_ms 'Waiting of an inbound call, ms: stated, else waited',
    COMMENT COLUMN talk_ms 'Talking, ms: stated, else talked',
    COMMENT COLUMN hold_ms 'On hold, ms: stated, else from hold events; NULL if unknown',
    COMMENT COLUMN duration_ms 'The whole call, ms: stated, else lasted';

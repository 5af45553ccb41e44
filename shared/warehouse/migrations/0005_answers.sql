-- The views over contact_folds that analysts read: contacts, calls, cases.
CREATE OR REPLACE VIEW contacts SQL SECURITY DEFINER AS
SELECT
    brand, channel, contact_id, case_id, customer_id, toBool(customer_known) AS customer_known, direction, author_kind,
    provider, sources, n_items, first_at, last_at, occurred_at, last_ingested_at, toBool(clock_suspect) AS clock_suspect,
    toBool(backfill) AS backfill, toBool(counted) AS counted, subject, text, quoted_text, language, kind, category,
    secondary_categories, subcategory, urgency, urgency_score, sentiment, toBool(needs_review) AS needs_review,
    toBool(corrected) AS corrected, automatic, toBool(bulk) AS bulk, toBool(bounced) AS bounced, url,
    toBool(deleted) AS deleted, toBool(hidden) AS hidden, repost_of, followers, engagement, rating, responded_at
FROM contact_folds
COMMENT 'What a person would count: one row for each mail, post (all versions) or call (all events), either direction. Count customers'' contacts with WHERE counted.';

ALTER TABLE contacts
    COMMENT COLUMN case_id 'The case it belongs to: one customer, one issue',
    COMMENT COLUMN customer_id 'The customer, whoever wrote; the first known one when events of a call differ',
    COMMENT COLUMN sources 'The configured accounts that saw it: a mail to two of our mailboxes has two',
    COMMENT COLUMN n_items 'How many items it is made of: copies, versions, events',
    COMMENT COLUMN first_at 'When it began, UTC: the time that metrics use',
    COMMENT COLUMN last_at 'When it last changed, UTC: last version of a post, last event of a call',
    COMMENT COLUMN occurred_at 'Earliest time that the source itself states, UTC',
    COMMENT COLUMN last_ingested_at 'When we last heard of it, UTC',
    COMMENT COLUMN backfill 'Some of it was read from the past on request',
    COMMENT COLUMN counted 'A customer''s contact: inbound, and neither spam, the brand''s own words, a repost, nor written by a machine',
    COMMENT COLUMN subject 'Subject of the latest revision; empty once deleted',
    COMMENT COLUMN text 'Text of the latest revision; empty once deleted',
    COMMENT COLUMN quoted_text 'What was quoted in it; empty once deleted',
    COMMENT COLUMN kind 'complaint, question, praise, request, spam or own; a person''s correction wins over the classifier',
    COMMENT COLUMN category 'What it is about, level 1; a person''s correction wins',
    COMMENT COLUMN subcategory 'Level 2, as the brand names it; a person''s correction wins',
    COMMENT COLUMN urgency 'critical, high, normal or low; a person''s correction wins',
    COMMENT COLUMN urgency_score '0 to 100, as the classifier gave it',
    COMMENT COLUMN sentiment 'negative, neutral or positive; a person''s correction wins',
    COMMENT COLUMN corrected 'A person corrected a label',
    COMMENT COLUMN automatic 'Why a mail is not a person writing: auto_reply, bounce, read_receipt, notification; else empty',
    COMMENT COLUMN bulk 'Sent in bulk or to a list',
    COMMENT COLUMN bounced 'Our mail, and a delivery report says that it did not arrive',
    COMMENT COLUMN url 'Where a person can read the post',
    COMMENT COLUMN deleted 'The post was deleted by its latest revision',
    COMMENT COLUMN hidden 'The post cannot be seen for now, by its latest revision',
    COMMENT COLUMN repost_of 'URI of the post that it repeats; else empty',
    COMMENT COLUMN followers 'Most followers that the author was seen with',
    COMMENT COLUMN engagement 'Most reposts, quotes and likes that it was seen with',
    COMMENT COLUMN rating 'Stars of a review, 1 to 5',
    COMMENT COLUMN responded_at 'When it answered the customer, UTC, if it is an answer: a person''s message that did not bounce, a call taken by an agent, a call of ours with 30 s of talk';

CREATE OR REPLACE VIEW calls SQL SECURITY DEFINER AS
SELECT
    brand, contact_id, call_id, provider, sources, case_id, customer_id, toBool(customer_known) AS customer_known, direction,
    first_at AS started_at, queued_at, answered_at, ended_at,
    wait_ms / 1000 AS wait_seconds, talk_ms / 1000 AS talk_seconds, hold_ms / 1000 AS hold_seconds,
    duration_ms / 1000 AS duration_seconds,
    agent, agents, queue, ivr_choice, toBool(transferred) AS transferred, toBool(voicemail) AS voicemail,
    toBool(abandoned) AS abandoned, cause, recording_url, transcript, cost, kind, category, urgency, n_items AS n_events
FROM contact_folds
WHERE channel = 'phone'
COMMENT 'One row for each call, folded from its events: late, repeated or disordered events give the same row.';

ALTER TABLE calls
    COMMENT COLUMN contact_id 'Identity of the call among contacts',
    COMMENT COLUMN sources 'The configured accounts that saw it',
    COMMENT COLUMN case_id 'The case it belongs to',
    COMMENT COLUMN customer_id 'The customer: caller of an inbound call, called number of an outbound one; the first known',
    COMMENT COLUMN started_at 'When it began, UTC: the earliest event or stated time',
    COMMENT COLUMN queued_at 'When it began to wait for an agent, UTC; NULL if it never did or the provider does not say',
    COMMENT COLUMN answered_at 'When a person took it, UTC; NULL if nobody did',
    COMMENT COLUMN ended_at 'When its last leg ended, UTC; NULL while it lasts',
    COMMENT COLUMN wait_seconds 'Waiting of an inbound call: as the provider states it, else from the queue (or the start) to the answer or the end',
    COMMENT COLUMN talk_seconds 'Talking: as the provider states it, else from the answer to the end without holds',
    COMMENT COLUMN hold_seconds 'On hold: as the provider states it, else from its hold events; NULL if unknown',
    COMMENT COLUMN duration_seconds 'The whole call: as the provider states it, else from start to end',
    COMMENT COLUMN agent 'Who answered first; else any agent named',
    COMMENT COLUMN agents 'Every agent named',
    COMMENT COLUMN queue 'The first queue named',
    COMMENT COLUMN ivr_choice 'The first choice in the menu',
    COMMENT COLUMN transferred 'Handed to another agent or queue: an event says so, or two agents took it in turn',
    COMMENT COLUMN voicemail 'The caller left a message; of a call of ours: a machine took it',
    COMMENT COLUMN abandoned 'Inbound, over, never taken by a person, and either the provider says so, or it says nothing and the caller waited in a queue and left no message',
    COMMENT COLUMN cause 'Why it ended',
    COMMENT COLUMN recording_url 'Where the latest recording is',
    COMMENT COLUMN transcript 'The latest transcript',
    COMMENT COLUMN cost 'Amount and ISO currency, as the provider last stated it',
    COMMENT COLUMN kind 'complaint, question, praise, request, spam or own',
    COMMENT COLUMN category 'What it is about, level 1',
    COMMENT COLUMN urgency 'critical, high, normal or low',
    COMMENT COLUMN n_events 'How many events were received';

-- First response (mission map, section 3): the first answer at or after t0 that a person gave, that the customer could see and
-- that did not bounce. t0 is the case's first counted contact. A case without an answer has NULL, and reports count it as open.
CREATE OR REPLACE VIEW cases SQL SECURITY DEFINER AS
WITH
    events AS
    (
        SELECT
            brand,
            case_id,
            argMaxIf(action, (occurred_at, event_id), action IN ('solved', 'reopened')) AS state,
            minOrNullIf(occurred_at, action = 'solved') AS first_solved_at,
            maxOrNullIf(occurred_at, action = 'solved') AS last_solved_at,
            countIf(action = 'reopened') AS n_reopened,
            argMaxIf(actor, (occurred_at, event_id), action = 'taken') AS taken_by,
            argMaxIf(satisfaction_score, (occurred_at, event_id), action = 'satisfaction') AS satisfaction_score,
            max(occurred_at) AS last_event_at
        FROM stored_case_events FINAL
        GROUP BY brand, case_id
    ),
    folded AS
    (
        SELECT
            brand,
            case_id,
            max(c.counted) = 1 AS counted,
            argMin(c.channel, by_first) AS channel,
            argMin(language, by_first) AS language,
            argMin(kind, by_first) AS kind,
            argMin(category, by_first) AS category,
            argMin(subcategory, by_first) AS subcategory,
            argMin(c.customer_id, by_first + if(customer_known, 0, 2 * flag)) AS customer_id,
            arraySort(groupUniqArray(c.channel)) AS channels,
            ifNull(minOrNullIf(first_at, c.counted), min(first_at)) AS opened_at,
            groupArrayIf(responded_at, isNotNull(responded_at)) AS responses,
            groupArrayIf(acknowledged_at, isNotNull(acknowledged_at)) AS acknowledgements,
            maxIf(transform(c.urgency, ['low', 'normal', 'high', 'critical'], [1, 2, 3, 4], 0), c.counted) AS urgency_rank,
            maxIf(c.urgency_score, c.counted) AS urgency_score,
            count() AS n_contacts,
            countIf(c.counted) AS n_customer_contacts,
            maxOrNullIf(last_at, c.counted) AS last_customer_at,
            max(last_at) AS last_contact_at,
            max(c.backfill) AS backfill
        FROM
        (
            SELECT
                *,
                bitShiftLeft(toUInt256(1), 200) AS flag,
                bitShiftLeft(toUInt256(bitXor(reinterpretAsUInt64(toUnixTimestamp64Milli(first_at)), bitShiftLeft(toUInt64(1), 63))), 128)
                    + toUInt256(reinterpretAsUInt128(contact_id)) + if(counted, 0, flag) AS by_first
            FROM contact_folds
        ) AS c
        GROUP BY brand, case_id
    )
SELECT
    f.brand AS brand,
    f.case_id AS case_id,
    f.customer_id AS customer_id,
    toBool(f.counted) AS counted,
    f.channel AS channel,
    f.channels AS channels,
    f.language AS language,
    f.kind AS kind,
    f.category AS category,
    f.subcategory AS subcategory,
    if(f.urgency_rank = 0, 'low', ['low', 'normal', 'high', 'critical'][f.urgency_rank]) AS urgency,
    f.urgency_score AS urgency_score,
    f.opened_at AS opened_at,
    arrayFilter(at -> f.counted AND at >= f.opened_at, f.acknowledgements) AS receipts,
    arrayFilter(at -> f.counted AND at >= f.opened_at, f.responses) AS answers,
    if(empty(receipts), NULL, arrayMin(receipts)) AS acknowledged_at,
    if(empty(answers), NULL, arrayMin(answers)) AS first_response_at,
    dateDiff('ms', f.opened_at, first_response_at) / 1000 AS time_to_first_response_seconds,
    if(empty(answers), NULL, arrayMax(answers)) AS last_response_at,
    f.last_customer_at AS last_customer_at,
    length(answers) AS n_responses,
    f.n_contacts AS n_contacts,
    f.n_customer_contacts AS n_customer_contacts,
    greatest(f.last_contact_at, ifNull(e.last_event_at, f.last_contact_at)) AS last_activity_at,
    multiIf(e.state = 'solved', 'solved', e.state = 'reopened', 'reopened', 'open') AS status,
    e.first_solved_at AS first_solved_at,
    e.last_solved_at AS last_solved_at,
    ifNull(e.n_reopened, 0) AS n_reopened,
    ifNull(e.taken_by, '') AS taken_by,
    e.satisfaction_score AS satisfaction_score,
    toBool(f.backfill) AS backfill
FROM folded AS f
LEFT JOIN events AS e ON f.brand = e.brand AND f.case_id = e.case_id
COMMENT 'One row for each case: one customer, one conversation, with its times. Count customers'' cases with WHERE counted.';

ALTER TABLE cases
    COMMENT COLUMN customer_id 'The customer: the first known one among the contacts',
    COMMENT COLUMN counted 'The customer wrote or called at least once: not only spam, reposts, machines or the brand',
    COMMENT COLUMN channel 'Channel of the customer''s first contact: email, phone or social',
    COMMENT COLUMN channels 'Every channel that the case went through',
    COMMENT COLUMN language 'Language of the customer''s first contact',
    COMMENT COLUMN kind 'Kind of the customer''s first contact',
    COMMENT COLUMN category 'Category of the customer''s first contact',
    COMMENT COLUMN subcategory 'Subcategory of the customer''s first contact; empty if none',
    COMMENT COLUMN urgency 'The most urgent of the customer''s contacts: critical, high, normal, low',
    COMMENT COLUMN urgency_score 'The highest score of the customer''s contacts, 0 to 100',
    COMMENT COLUMN opened_at 't0, UTC: the customer''s first contact; the first contact at all if the customer never wrote',
    COMMENT COLUMN receipts 'Times at which the customer heard from us at all, automatic mails included, UTC',
    COMMENT COLUMN answers 'Times of our answers at or after opened_at, UTC: by a person, visible to the customer, not bounced',
    COMMENT COLUMN acknowledged_at 'The first time the customer heard from us, by a person or a machine, UTC; NULL if not yet',
    COMMENT COLUMN first_response_at 'The first answer, UTC; NULL if there is none yet',
    COMMENT COLUMN time_to_first_response_seconds 'From opened_at to first_response_at, calendar time; NULL if there is none yet',
    COMMENT COLUMN last_response_at 'The latest answer, UTC; NULL if there is none yet',
    COMMENT COLUMN last_customer_at 'The customer''s latest contact, UTC',
    COMMENT COLUMN n_responses 'How many answers',
    COMMENT COLUMN n_contacts 'How many contacts, either direction',
    COMMENT COLUMN n_customer_contacts 'How many contacts of the customer',
    COMMENT COLUMN last_activity_at 'When anything last happened, case events included, UTC',
    COMMENT COLUMN status 'open, solved or reopened, by the latest case event',
    COMMENT COLUMN first_solved_at 'When it was first solved, UTC; NULL if never',
    COMMENT COLUMN last_solved_at 'When it was last solved, UTC; NULL if never',
    COMMENT COLUMN n_reopened 'How often it was reopened',
    COMMENT COLUMN taken_by 'The employee who last took it; empty if nobody did',
    COMMENT COLUMN satisfaction_score 'What the customer last said of the handling, 1 to 5; NULL if nothing',
    COMMENT COLUMN backfill 'Some of it was read from the past on request';

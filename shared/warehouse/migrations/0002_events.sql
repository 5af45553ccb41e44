-- What people did with cases. Posting an event twice gives the same event_id, whatever time the second post states.
CREATE TABLE IF NOT EXISTS stored_case_events
(
    event_id UUID COMMENT 'Identity of the event: posting it again gives the same id',
    case_id UUID COMMENT 'The case it is about',
    brand LowCardinality(String) COMMENT 'Id of the brand',
    schema_version UInt16 COMMENT 'Version of the envelope',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened, as the caller says, UTC',
    ingested_at DateTime64(3, 'UTC') COMMENT 'When it was produced, UTC',
    actor LowCardinality(String) COMMENT 'The employee, as the organisation names them; empty if not told',
    action LowCardinality(String) COMMENT 'What happened: taken, solved, reopened, commitment, follow_up, compensation, prevention_idea, satisfaction, label_correction, customer_link, customer_unlink',
    text String COMMENT 'What was agreed, promised, found or proposed, in words',
    due_at Nullable(DateTime64(3, 'UTC')) COMMENT 'By when it was promised, UTC',
    compensation_value String COMMENT 'Money or goods given, as a decimal in text; empty if none',
    compensation_currency LowCardinality(String) COMMENT 'ISO 4217 currency of the compensation',
    satisfaction_score Nullable(UInt8) COMMENT 'What the customer says of the handling, 1 to 5',
    contact_id UUID COMMENT 'The contact whose label is corrected; zero otherwise',
    label_axis LowCardinality(String) COMMENT 'Axis of a label correction: kind, category, subcategory, urgency, sentiment',
    label LowCardinality(String) COMMENT 'The right label',
    customer_id UUID COMMENT 'One customer of a link; zero otherwise',
    same_as UUID COMMENT 'The other customer of a link; zero otherwise',
    unknown_fields String COMMENT 'Fields that a newer producer wrote, as JSON; empty if none',
    kafka_epoch UInt16 COMMENT 'Which incarnation of the topic it was read from',
    kafka_partition UInt32 COMMENT 'Partition it was read from',
    kafka_offset UInt64 COMMENT 'Offset it was read from',
    version UInt64 MATERIALIZED bitShiftLeft(toUInt64(kafka_epoch), 48) + kafka_offset COMMENT 'Of two rows of one event the larger version stays'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY ignore(kafka_epoch, kafka_partition, kafka_offset)
ORDER BY (brand, case_id, event_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
COMMENT 'Case events as read from Kafka. Read the view case_events instead.';

-- A later comparison of the same source, scope and window replaces an earlier one.
CREATE TABLE IF NOT EXISTS stored_coverage
(
    brand LowCardinality(String) COMMENT 'Id of the brand',
    channel LowCardinality(String) COMMENT 'Channel of the source: email, phone or social',
    source LowCardinality(String) COMMENT 'The configured account',
    scope String COMMENT 'Part of the source, such as a folder; empty when it has no parts',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant covered, UTC',
    window_end DateTime64(3, 'UTC') COMMENT 'First instant after it, UTC',
    schema_version UInt16 COMMENT 'Version of the envelope',
    listed UInt64 COMMENT 'How many items the source listed',
    produced UInt64 COMMENT 'How many were produced, or were there already',
    missing UInt64 COMMENT 'How many are missing',
    missing_examples Array(String) COMMENT 'What is missing, by the source''s own names; at most 100',
    note String COMMENT 'Why, in words; empty if there is nothing to say',
    checked_at DateTime64(3, 'UTC') COMMENT 'When it was compared, UTC',
    unknown_fields String COMMENT 'Fields that a newer producer wrote, as JSON; empty if none',
    kafka_epoch UInt16 COMMENT 'Which incarnation of the topic it was read from',
    kafka_partition UInt32 COMMENT 'Partition it was read from',
    kafka_offset UInt64 COMMENT 'Offset it was read from',
    version UInt64 MATERIALIZED bitShiftLeft(toUInt64(kafka_epoch), 48) + kafka_offset COMMENT 'Of two comparisons of one window the larger version stays'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY ignore(kafka_epoch, kafka_partition, kafka_offset)
ORDER BY (brand, channel, source, scope, window_start, window_end)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
COMMENT 'Coverage as read from Kafka. Read the view coverage instead.';

-- A record refused twice (a crash between the refusal and the commit) is one dead letter: its id is made of what was refused.
CREATE TABLE IF NOT EXISTS stored_dead_letters
(
    dead_letter_id UUID COMMENT 'Identity of the refusal: service, place it was read from, payload',
    service LowCardinality(String) COMMENT 'The service that refused it',
    reason LowCardinality(String) COMMENT 'Short and countable: undecodable, too_large, unknown_account, …',
    detail String COMMENT 'What exactly was wrong, for a person',
    origin LowCardinality(String) COMMENT 'Topic it was read from; for what never reached Kafka, the source',
    origin_partition Int32 COMMENT 'Partition it was read from; -1 if none',
    origin_offset Int64 COMMENT 'Offset it was read from; -1 if none',
    received_at DateTime64(3, 'UTC') COMMENT 'When the record was produced, or the payload received, UTC',
    refused_at DateTime64(3, 'UTC') COMMENT 'When it was refused, UTC',
    record_key String COMMENT 'Key of the refused record, as it came',
    payload String COMMENT 'The refused bytes, as they came (may be personal)' CODEC(ZSTD(1)),
    kafka_epoch UInt16 COMMENT 'Which incarnation of the dead letter topic it was read from',
    kafka_partition UInt32 COMMENT 'Partition of the dead letter topic',
    kafka_offset UInt64 COMMENT 'Offset in the dead letter topic',
    version UInt64 MATERIALIZED bitShiftLeft(toUInt64(kafka_epoch), 48) + kafka_offset COMMENT 'Of two rows of one dead letter the larger version stays'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY ignore(kafka_epoch, kafka_partition, kafka_offset)
ORDER BY (service, origin, dead_letter_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
COMMENT 'Dead letters as read from Kafka, payload included. Read the view dead_letters instead.';

-- Who may write a partition: the owner of the largest (generation, owner). Every INSERT of the sink checks it.
CREATE TABLE IF NOT EXISTS sink_fence
(
    topic LowCardinality(String) COMMENT 'Kafka topic',
    kafka_partition UInt32 COMMENT 'Partition of the topic',
    generation UInt64 COMMENT 'Grows with every taking',
    owner String COMMENT 'The attempt that took it; only its inserts are accepted',
    taken_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was taken, UTC'
)
ENGINE = MergeTree
ORDER BY (topic, kafka_partition, generation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Keeps a sink that lost its partition from writing late.';

-- A topic that is deleted and created again counts its offsets from 0: the epoch keeps them apart.
CREATE TABLE IF NOT EXISTS kafka_epochs
(
    topic LowCardinality(String) COMMENT 'Kafka topic',
    topic_id String COMMENT 'Id that the broker gave this incarnation of the topic',
    epoch UInt16 COMMENT '1 for the first incarnation, 2 for the next, …',
    assigned_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the number was given, UTC'
)
ENGINE = MergeTree
ORDER BY (topic, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Incarnations of Kafka topics.';

-- Windows of one source may overlap: a mailbox is compared at each pass, and each of its days again. missing_once counts each
-- missing item in one window only: one that is named, in the shortest window that names it; those beyond the hundred that are
-- named, in the window of most of them among windows that overlap.
CREATE OR REPLACE VIEW coverage SQL SECURITY DEFINER AS
WITH
    incomplete AS
    (
        SELECT
            brand, channel, source, scope, window_start, window_end,
            arrayDistinct(missing_examples) AS names,
            missing - least(missing, length(missing_examples)) AS unnamed
        FROM stored_coverage FINAL
        WHERE missing > 0
    ),
    named AS
    (
        SELECT brand, channel, source, scope, shortest.1 AS window_start, shortest.2 AS window_end, count() AS items
        FROM
        (
            SELECT
                brand, channel, source, scope,
                argMin((window_start, window_end), (dateDiff('ms', window_start, window_end), window_start)) AS shortest
            FROM (SELECT *, arrayJoin(names) AS name FROM incomplete)
            GROUP BY brand, channel, source, scope, name
        )
        GROUP BY brand, channel, source, scope, window_start, window_end
    ),
    unnamed AS
    (
        SELECT
            a.brand AS brand, a.channel AS channel, a.source AS source, a.scope AS scope,
            a.window_start AS window_start, a.window_end AS window_end, any(a.unnamed) AS items
        FROM (SELECT * FROM incomplete WHERE unnamed > 0) AS a
        INNER JOIN (SELECT * FROM incomplete WHERE unnamed > 0) AS b
            ON a.brand = b.brand AND a.channel = b.channel AND a.source = b.source AND a.scope = b.scope
        GROUP BY brand, channel, source, scope, window_start, window_end
        HAVING countIf(a.window_start < b.window_end AND b.window_start < a.window_end
            AND (b.unnamed, b.window_start, b.window_end) > (a.unnamed, a.window_start, a.window_end)) = 0
    )
SELECT
    c.brand AS brand,
    c.channel AS channel,
    c.source AS source,
    c.scope AS scope,
    c.window_start AS window_start,
    c.window_end AS window_end,
    c.listed AS listed,
    c.produced AS produced,
    c.missing AS missing,
    n.items + u.items AS missing_once,
    c.missing_examples AS missing_examples,
    c.note AS note,
    c.checked_at AS checked_at,
    c.unknown_fields AS unknown_fields
FROM (SELECT * FROM stored_coverage FINAL) AS c
LEFT JOIN named AS n
    ON c.brand = n.brand AND c.channel = n.channel AND c.source = n.source AND c.scope = n.scope
    AND c.window_start = n.window_start AND c.window_end = n.window_end
LEFT JOIN unnamed AS u
    ON c.brand = u.brand AND c.channel = u.channel AND c.source = u.source AND c.scope = u.scope
    AND c.window_start = u.window_start AND c.window_end = u.window_end
COMMENT 'What each source listed, what was produced of it and what is missing, by window: the proof that nothing was skipped. Windows may overlap: add up missing_once.';

ALTER TABLE coverage
    COMMENT COLUMN missing 'How many are missing of this window; windows may overlap, so do not add it up',
    COMMENT COLUMN missing_once 'How many of them count here and in no other window of the source and scope: add these up';

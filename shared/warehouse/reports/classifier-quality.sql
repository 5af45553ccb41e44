-- What the classifier said of a contact is a fold over its items, by the rule of the view contacts: the latest version that
-- was published, the latest event of a call that has words, the mail itself. What a person said last of an axis is right.
-- Each contact gives a row for every figure that it counts in, so that one pass over the contacts is enough.
WITH
    period AS
    (
        SELECT brand, contact_id, counted
        FROM contacts
        WHERE ({brand:String} = '' OR brand = {brand:String})
            AND first_at >= {from:DateTime64(3, 'UTC')}
            AND first_at < {to:DateTime64(3, 'UTC')}
    ),
    said AS
    (
        SELECT
            p.brand AS brand,
            p.contact_id AS contact_id,
            any(p.counted) AS counted,
            argMax(i.needs_review, place) AS needs_review,
            argMax(i.labels, place) AS labels
        FROM
        (
            SELECT
                brand,
                contact_id,
                needs_review,
                [
                    ('kind', toString(kind), kind_confidence),
                    ('category', toString(category), category_confidence),
                    ('subcategory', toString(subcategory), subcategory_confidence),
                    ('urgency', toString(urgency), urgency_confidence),
                    ('sentiment', toString(sentiment), sentiment_confidence)
                ] AS labels,
                (
                    multiIf(channel = 'phone', text != '', channel = 'social', post_event = 'published', true),
                    revision,
                    reinterpretAsUInt128(item_id)
                ) AS place
            FROM items
            WHERE {brand:String} = '' OR brand = {brand:String}
        ) AS i
        INNER JOIN period AS p ON i.brand = p.brand AND i.contact_id = p.contact_id
        GROUP BY p.brand, p.contact_id
    ),
    people AS
    (
        SELECT brand, contact_id, CAST(groupArray((axis, right_label)), 'Map(String, String)') AS corrections
        FROM
        (
            SELECT
                brand,
                contact_id,
                toString(label_axis) AS axis,
                toString(argMax(label, (occurred_at, event_id))) AS right_label
            FROM case_events
            WHERE action = 'label_correction' AND ({brand:String} = '' OR brand = {brand:String})
            GROUP BY brand, contact_id, axis
        )
        GROUP BY brand, contact_id
    ),
    figures AS
    (
        SELECT arrayJoin(arrayConcat(
            if(counted,
                [
                    (4, 'share', 'category', 'other', labels[2].2 = 'other', toFloat32(0)),
                    (4, 'share', 'review', 'needs_review', toUInt8(needs_review), toFloat32(0))
                ],
                []),
            arrayFlatten(arrayMap(
                one -> [
                    (1, 'agreement', one.1, 'all', one.2 = p.corrections[one.1], one.3),
                    (2, 'precision', one.1, one.2, one.2 = p.corrections[one.1], one.3),
                    (3, 'recall', one.1, p.corrections[one.1], one.2 = p.corrections[one.1], one.3),
                    (5, 'calibration', one.1, ['0.0 to 0.1', '0.1 to 0.2', '0.2 to 0.3', '0.3 to 0.4', '0.4 to 0.5',
                        '0.5 to 0.6', '0.6 to 0.7', '0.7 to 0.8', '0.8 to 0.9', '0.9 to 1.0'][
                        toUInt8(least(9, floor(one.3 * 10 + 0.00001))) + 1], one.2 = p.corrections[one.1], one.3)
                ],
                arrayFilter(one -> mapContains(p.corrections, one.1), s.labels)))
        )) AS figure
        FROM said AS s
        LEFT JOIN people AS p ON s.brand = p.brand AND s.contact_id = p.contact_id
    )
SELECT
    figure.2 AS measure,
    figure.3 AS axis,
    figure.4 AS label,
    count() AS contacts,
    countIf(figure.5 = 1) AS hits,
    round(hits / contacts, 3) AS share,
    if(measure = 'calibration', round(avg(figure.6), 3), NULL) AS expected,
    if(measure = 'share' AND hits / contacts > 0.15, 'above 15 %', '') AS alarm
FROM figures
GROUP BY figure.1, measure, axis, label
ORDER BY figure.1, axis, label

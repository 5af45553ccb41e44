-- A case repeats an earlier one of the same customer and category when it opens within 30 days of that one's end; a case
-- opened before that end is a chaser and not counted. The end is the solution, else the last activity.
WITH
    ordered AS
    (
        SELECT
            brand,
            category,
            customer_id,
            opened_at,
            max(ifNull(last_solved_at, last_activity_at)) OVER (
                PARTITION BY brand, category, customer_id ORDER BY opened_at, case_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_end,
            row_number() OVER (PARTITION BY brand, category, customer_id ORDER BY opened_at, case_id) AS nth
        FROM cases
        WHERE counted
            AND category != 'other'
            AND kind != 'praise'
            AND ({brand:String} = '' OR brand = {brand:String})
    )
SELECT
    brand,
    category,
    uniqExact(customer_id) AS customers,
    count() AS cases
FROM ordered
WHERE nth > 1
    AND opened_at >= earlier_end
    AND opened_at < earlier_end + INTERVAL 30 DAY
    AND opened_at >= {from:DateTime64(3, 'UTC')}
    AND opened_at < {to:DateTime64(3, 'UTC')}
GROUP BY brand, category
ORDER BY cases DESC, brand, category

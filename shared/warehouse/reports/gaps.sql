SELECT
    brand,
    channel,
    source,
    scope,
    window_start,
    window_end,
    listed,
    produced,
    missing_once AS missing,
    note
FROM coverage
WHERE missing_once > 0
    AND ({brand:String} = '' OR brand = {brand:String})
    AND window_end > {from:DateTime64(3, 'UTC')}
    AND window_start < {to:DateTime64(3, 'UTC')}
ORDER BY window_start, brand, source, scope

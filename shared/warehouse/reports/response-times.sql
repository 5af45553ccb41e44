SELECT
    if(grouping(opened.channel) = 1, 'all', opened.channel) AS channel,
    count() AS cases,
    countIf(isNotNull(first_response_at)) AS answered,
    countIf(isNull(first_response_at)) AS open,
    round(quantileExactInclusiveOrNull(0.5)(time_to_first_response_seconds), 3) AS median_seconds,
    round(quantileExactInclusiveOrNull(0.9)(time_to_first_response_seconds), 3) AS p90_seconds,
    round(quantileExactInclusiveOrNull(0.95)(time_to_first_response_seconds), 3) AS p95_seconds,
    round(avgOrNull(time_to_first_response_seconds), 3) AS mean_seconds
FROM
(
    SELECT channel, first_response_at, time_to_first_response_seconds
    FROM cases
    WHERE counted
        AND ({brand:String} = '' OR brand = {brand:String})
        AND opened_at >= {from:DateTime64(3, 'UTC')}
        AND opened_at < {to:DateTime64(3, 'UTC')}
) AS opened
GROUP BY GROUPING SETS ((opened.channel), ())
ORDER BY grouping(opened.channel), channel

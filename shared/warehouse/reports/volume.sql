SELECT
    toDate32(first_at, {timezone:String}) AS day,
    channel,
    category,
    urgency,
    count() AS contacts
FROM contacts
WHERE counted
    AND ({brand:String} = '' OR brand = {brand:String})
    AND first_at >= {from:DateTime64(3, 'UTC')}
    AND first_at < {to:DateTime64(3, 'UTC')}
GROUP BY day, channel, category, urgency
ORDER BY day, channel, category, urgency

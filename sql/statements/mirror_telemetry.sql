-- Telemetry by second since the target's first reading, thinned to at most 1,000 points a counter.
WITH readings AS (
    SELECT
        target, source, name, value,
        date_diff('second', min(read_at) OVER (PARTITION BY target), read_at) AS second,
        max(read_at) OVER (PARTITION BY target) AS last_at,
        min(read_at) OVER (PARTITION BY target) AS first_at
    FROM telemetry
    WHERE run_id = $run_id AND night = $night
)

SELECT
    target, source, name,
    (second // greatest(1, 1 + date_diff('second', first_at, last_at) // 1000))
    * greatest(1, 1 + date_diff('second', first_at, last_at) // 1000) AS step,
    avg(value) AS value
FROM readings
GROUP BY ALL
ORDER BY target, source, name, step;

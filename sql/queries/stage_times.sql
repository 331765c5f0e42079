-- How long the boot and each stage of a target last took: of its last 3 nights the longest. One that a
-- busy machine made invalid took its time all the same; one that was cut did not.
-- param target (target): the target
WITH stages AS (
    SELECT 'accuracy ' || benchmark AS stage, started_at, duration_s
    FROM accuracy_results
    WHERE
        target = $target AND subset = 'all'
        AND list_has_all(
            ['client_lag', 'host_contention', 'host_starved', 'rate_missed'],
            coalesce(invalid_reasons, [])
        )

    UNION ALL

    SELECT 'load ' || workload || ' ' || level, started_at, duration_s
    FROM load_levels
    WHERE
        target = $target
        AND list_has_all(
            ['client_lag', 'host_contention', 'host_starved', 'rate_missed'],
            coalesce(invalid_reasons, [])
        )

    UNION ALL

    SELECT 'boot', started_at, boot_s
    FROM servers
    WHERE target = $target AND boot_s IS NOT NULL
),

numbered AS (
    SELECT *, row_number() OVER (PARTITION BY stage ORDER BY started_at DESC) AS nights_ago
    FROM stages
)

SELECT stage, max(duration_s) AS seconds
FROM numbered
WHERE nights_ago <= 3
GROUP BY stage
ORDER BY stage;

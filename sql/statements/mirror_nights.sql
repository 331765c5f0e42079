-- Every target's series over nights: the main number of each benchmark, level and workload. What was
-- imported from other tools is not in them.
SELECT
    target, night, run_id, started_at, 'accuracy/' || name AS metric, accuracy AS value,
    1 AS place, NULL::BIGINT AS max_concurrency
FROM nightly_trend
WHERE
    kind = 'accuracy' AND subset_or_level = 'all' AND NOT imported
    AND list_contains($targets, target)
UNION ALL
SELECT
    target, night, run_id, started_at, metric || '/' || name || '/' || subset_or_level, value,
    place, max_concurrency
FROM (
    SELECT
        target, night, run_id, started_at, name, subset_or_level, max_concurrency,
        unnest([
            -- metrics: nights
            {'metric': 'output_throughput', 'value': output_throughput, 'place': 3},
            {'metric': 'p95_ttft_ms', 'value': p95_ttft_ms, 'place': 4},
            {'metric': 'p95_tpot_ms', 'value': p95_tpot_ms, 'place': 5}
            -- end of metrics
        ], recursive := true)
    FROM nightly_trend
    WHERE kind = 'load' AND valid AND NOT imported AND list_contains($targets, target)
)
UNION ALL
SELECT
    target, night, run_id, started_at, 'capacity/' || workload,
    coalesce(capacity_max_concurrency, 0), 2, NULL
FROM capacity WHERE list_contains($targets, target)
ORDER BY target, place, max_concurrency, metric, night, started_at;

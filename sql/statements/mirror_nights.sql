-- Every target's series over nights: the main number of each benchmark, level and workload.
SELECT
    target, night, run_id, started_at, 'accuracy/' || name AS metric, accuracy AS value
FROM nightly_trend
WHERE kind = 'accuracy' AND subset_or_level = 'all' AND list_contains($targets, target)
UNION ALL
SELECT
    target, night, run_id, started_at,
    'output_throughput/' || name || '/' || subset_or_level, output_throughput
FROM nightly_trend WHERE kind = 'load' AND valid AND list_contains($targets, target)
UNION ALL
SELECT
    target, night, run_id, started_at, 'p95_ttft_ms/' || name || '/' || subset_or_level, p95_ttft_ms
FROM nightly_trend WHERE kind = 'load' AND valid AND list_contains($targets, target)
UNION ALL
SELECT
    target, night, run_id, started_at, 'p95_tpot_ms/' || name || '/' || subset_or_level, p95_tpot_ms
FROM nightly_trend WHERE kind = 'load' AND valid AND list_contains($targets, target)
UNION ALL
SELECT
    target, night, run_id, started_at, 'capacity/' || workload,
    coalesce(capacity_max_concurrency, 0)
FROM capacity WHERE list_contains($targets, target)
ORDER BY target, metric, night, started_at;

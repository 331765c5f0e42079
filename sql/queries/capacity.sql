-- The highest concurrency of each run within limits you give, on its p95 latencies.
-- param ttft_p95_ms (number) = 500: milliseconds to the first token, at most
-- param tpot_p95_ms (number) = 50: milliseconds per output token, at most
-- param target (target) = NULL: one target; all of them unless given
SELECT
    target, night, run_id, workload,
    max(max_concurrency) FILTER (
        valid AND p95_ttft_ms <= $ttft_p95_ms::DOUBLE AND p95_tpot_ms <= $tpot_p95_ms::DOUBLE
    ) AS capacity_max_concurrency,
    max(max_concurrency) AS highest_measured_max_concurrency
FROM load_levels
WHERE
    max_concurrency IS NOT NULL AND request_rate IS NULL
    AND NOT starts_with(measurement_key, 'imported:')
    AND ($target::VARCHAR IS NULL OR target = $target)
GROUP BY target, night, run_id, workload
ORDER BY night DESC, target, workload;

-- One metric of a target, night by night, per benchmark subset or load level.
-- param target (target): the target's name
-- param metric (accuracy|output_throughput|request_throughput|median_ttft_ms|p95_ttft_ms|median_tpot_ms|p95_tpot_ms|p95_e2el_ms) = output_throughput: the metric
-- param name (name) = NULL: a benchmark's or workload's name; all of them unless given
-- param nights (count) = 100000: how many nights back from the newest
WITH chosen AS (
    SELECT
        night, run_id, kind, name, subset_or_level, max_concurrency, hardware_class,
        measurement_key, imported, valid, started_at,
        CASE $metric
            WHEN 'accuracy' THEN accuracy
            -- metrics: trend_cases
            WHEN 'output_throughput' THEN output_throughput
            WHEN 'request_throughput' THEN request_throughput
            WHEN 'median_ttft_ms' THEN median_ttft_ms
            WHEN 'p95_ttft_ms' THEN p95_ttft_ms
            WHEN 'median_tpot_ms' THEN median_tpot_ms
            WHEN 'p95_tpot_ms' THEN p95_tpot_ms
            WHEN 'p95_e2el_ms' THEN p95_e2el_ms
            -- end of metrics
            ELSE error('there is no metric ' || $metric || ' in the trend; see nightbench sql --list')
        END AS value,
        CASE WHEN $metric = 'accuracy' THEN ci_low END AS ci_low,
        CASE WHEN $metric = 'accuracy' THEN ci_high END AS ci_high
    FROM nightly_trend
    WHERE
        target = $target
        AND kind = CASE WHEN $metric = 'accuracy' THEN 'accuracy' ELSE 'load' END
        AND ($name::VARCHAR IS NULL OR name = $name)
)

SELECT * EXCLUDE (started_at)
FROM chosen
QUALIFY dense_rank() OVER (ORDER BY night DESC) <= $nights::BIGINT
ORDER BY name, max_concurrency, subset_or_level, night, started_at;

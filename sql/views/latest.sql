-- What the newest night measured, one row per target and number asked for: an accuracy row per
-- benchmark and subset, a load row per workload and level. Where a target ran twice that night, its
-- last run counts. Results imported from other tools are not in here. A night dated ahead of the
-- clock is the newest only where there is no other.
CREATE OR REPLACE VIEW latest AS
WITH last_night AS (
    SELECT coalesce(max(night) FILTER (night <= current_date + 1), max(night)) AS night
    FROM (
        SELECT night FROM accuracy_results
        WHERE NOT starts_with(measurement_key, 'imported:')
        UNION ALL
        SELECT night FROM load_levels
        WHERE NOT starts_with(measurement_key, 'imported:')
    )
),

measured AS (
    SELECT target, run_id, started_at FROM accuracy_results
    WHERE
        night = (SELECT night FROM last_night) AND NOT starts_with(measurement_key, 'imported:')
    UNION ALL
    SELECT target, run_id, started_at FROM load_levels
    WHERE
        night = (SELECT night FROM last_night) AND NOT starts_with(measurement_key, 'imported:')
),

last_runs AS (
    SELECT target, arg_max(run_id, started_at) AS run_id FROM measured GROUP BY target
),

accuracies AS (
    SELECT
        run_id, night, target, hardware_class, 'accuracy' AS kind, benchmark AS name,
        subset AS subset_or_level, max_concurrency, NULL::DOUBLE AS request_rate,
        accuracy, ci_low, ci_high, accuracy_strict, num_samples, extraction_failed, truncated,
        valid, invalid_reasons, started_at
    FROM accuracy_results
    WHERE
        night = (SELECT night FROM last_night) AND NOT starts_with(measurement_key, 'imported:')
),

loads AS (
    SELECT
        run_id, night, target, hardware_class, 'load' AS kind, workload AS name,
        level AS subset_or_level, max_concurrency, request_rate,
        num_prompts,
        -- metrics: latest
        completed, failed, duration_s, request_throughput, output_throughput,
        total_token_throughput, mean_ttft_ms, median_ttft_ms, p95_ttft_ms, p99_ttft_ms,
        mean_tpot_ms, median_tpot_ms, p95_tpot_ms, p99_tpot_ms, mean_itl_ms, p95_itl_ms,
        mean_e2el_ms, p95_e2el_ms,
        -- end of metrics
        valid, invalid_reasons, started_at
    FROM load_levels
    WHERE
        night = (SELECT night FROM last_night) AND NOT starts_with(measurement_key, 'imported:')
)

SELECT
    run_id, night, target, hardware_class, kind, name, subset_or_level,
    max_concurrency, request_rate,
    accuracy, ci_low, ci_high, accuracy_strict, num_samples, extraction_failed, truncated,
    num_prompts,
    -- metrics: latest
    completed, failed, duration_s, request_throughput, output_throughput, total_token_throughput,
    mean_ttft_ms, median_ttft_ms, p95_ttft_ms, p99_ttft_ms, mean_tpot_ms, median_tpot_ms,
    p95_tpot_ms, p99_tpot_ms, mean_itl_ms, p95_itl_ms, mean_e2el_ms, p95_e2el_ms,
    -- end of metrics
    valid, invalid_reasons, started_at
FROM (SELECT * FROM accuracies UNION ALL BY NAME SELECT * FROM loads)
SEMI JOIN last_runs USING (target, run_id)
ORDER BY target, kind, name, started_at, max_concurrency, request_rate, subset_or_level;

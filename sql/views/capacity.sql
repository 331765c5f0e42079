-- The highest max_concurrency of a run whose level was valid and within the suite's limits
-- (provenance slo_ttft_p95_ms, slo_tpot_p95_ms, slo_e2el_p95_ms; no limit where there is none).
-- NULL: levels were measured and none held.
CREATE OR REPLACE VIEW capacity AS
WITH limits AS (
    SELECT
        run_id, target,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'slo_ttft_p95_ms') AS ttft_p95_limit_ms,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'slo_tpot_p95_ms') AS tpot_p95_limit_ms,
        max(try_cast(value AS DOUBLE)) FILTER (name = 'slo_e2el_p95_ms') AS e2el_p95_limit_ms
    FROM provenance
    WHERE name IN ('slo_ttft_p95_ms', 'slo_tpot_p95_ms', 'slo_e2el_p95_ms')
    GROUP BY run_id, target
),

judged AS (
    SELECT
        levels.run_id, levels.target, levels.night, levels.hardware_class, levels.workload,
        levels.max_concurrency, levels.output_throughput, levels.started_at,
        limits.ttft_p95_limit_ms, limits.tpot_p95_limit_ms, limits.e2el_p95_limit_ms,
        levels.valid
        AND (limits.ttft_p95_limit_ms IS NULL OR levels.p95_ttft_ms <= limits.ttft_p95_limit_ms)
        AND (limits.tpot_p95_limit_ms IS NULL OR levels.p95_tpot_ms <= limits.tpot_p95_limit_ms)
        AND (limits.e2el_p95_limit_ms IS NULL OR levels.p95_e2el_ms <= limits.e2el_p95_limit_ms)
            AS holds
    FROM load_levels AS levels
    LEFT JOIN limits USING (run_id, target)
    WHERE
        levels.max_concurrency IS NOT NULL AND levels.request_rate IS NULL
        AND NOT starts_with(levels.measurement_key, 'imported:')
)

SELECT
    target, night, run_id, workload, hardware_class,
    max(max_concurrency) FILTER (holds) AS capacity_max_concurrency,
    max(max_concurrency) AS highest_measured_max_concurrency,
    arg_max(output_throughput, max_concurrency) FILTER (holds) AS output_throughput,
    any_value(ttft_p95_limit_ms) AS ttft_p95_limit_ms,
    any_value(tpot_p95_limit_ms) AS tpot_p95_limit_ms,
    any_value(e2el_p95_limit_ms) AS e2el_p95_limit_ms,
    min(started_at) AS started_at
FROM judged
GROUP BY target, night, run_id, workload, hardware_class
ORDER BY target, night, workload;

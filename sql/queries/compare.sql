-- Two runs side by side: every accuracy and load level both have, with the change. Judge only what
-- has same_question and same_hardware; numbers of other tools (imported) never have.
-- param a (run): a run id
-- param b (run): a run id
-- param target (target) = NULL: one target; all of them unless given
WITH numbers AS (
    SELECT
        run_id, target, 'accuracy' AS kind, benchmark AS name, subset AS subset_or_level,
        NULL::BIGINT AS max_concurrency, measurement_key, hardware_class, valid,
        unnest([{'metric': 'accuracy', 'value': accuracy}], recursive := true)
    FROM accuracy_results
    WHERE run_id IN ($a, $b) AND ($target::VARCHAR IS NULL OR target = $target)
    UNION ALL
    SELECT
        run_id, target, 'load', workload, level, max_concurrency, measurement_key, hardware_class,
        valid,
        unnest([
            -- metrics: compare
            {'metric': 'output_throughput', 'value': output_throughput},
            {'metric': 'request_throughput', 'value': request_throughput},
            {'metric': 'median_ttft_ms', 'value': median_ttft_ms},
            {'metric': 'p95_ttft_ms', 'value': p95_ttft_ms},
            {'metric': 'median_tpot_ms', 'value': median_tpot_ms},
            {'metric': 'p95_tpot_ms', 'value': p95_tpot_ms}
            -- end of metrics
        ], recursive := true)
    FROM load_levels
    WHERE run_id IN ($a, $b) AND ($target::VARCHAR IS NULL OR target = $target)
)

SELECT
    target, kind, name, subset_or_level, numbers_a.metric,
    numbers_a.value AS a, numbers_b.value AS b, numbers_b.value - numbers_a.value AS change,
    (numbers_b.value - numbers_a.value) / nullif(numbers_a.value, 0) AS relative_change,
    numbers_a.measurement_key = numbers_b.measurement_key AS same_question,
    numbers_a.hardware_class IS NOT DISTINCT FROM numbers_b.hardware_class AS same_hardware,
    numbers_a.valid AND numbers_b.valid AS both_valid,
    starts_with(numbers_a.measurement_key, 'imported:')
    OR starts_with(numbers_b.measurement_key, 'imported:') AS imported
FROM (FROM numbers WHERE run_id = $a) AS numbers_a
JOIN (FROM numbers WHERE run_id = $b) AS numbers_b
    USING (target, kind, name, subset_or_level, metric)
ORDER BY
    target, kind, name, numbers_a.max_concurrency, subset_or_level, numbers_a.metric;

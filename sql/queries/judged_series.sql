-- The numbers that are judged: of every load level, night after night up to a run and on the machines
-- of it, each metric with its standard error where its interval is known.
-- param run_id (run): the newest run that counts
-- param first (run) = NULL: the oldest run that counts
-- param metrics (text) = output_throughput,median_ttft_ms,median_tpot_ms: columns of load_levels, with commas
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
),

hosts AS (
    SELECT
        targets.run_id, targets.target, coalesce(any_value(facts.value), any_value(runs.host), '') AS node
    FROM targets
    LEFT JOIN runs USING (run_id)
    LEFT JOIN (FROM provenance WHERE name = 'host') AS facts
        ON facts.run_id = targets.run_id AND facts.target = targets.target
    GROUP BY targets.run_id, targets.target
),

levels AS (
    SELECT load_levels.*
    FROM load_levels
    JOIN began USING (run_id)
    JOIN hosts USING (run_id, target)
    WHERE
        NOT starts_with(measurement_key, 'imported:')
        AND node IN (SELECT node FROM hosts WHERE run_id = $run_id)
        AND (run_began, run_id) <= (
            SELECT (run_began, run_id) FROM began WHERE run_id = $run_id
        )
        AND (
            $first::VARCHAR IS NULL
            OR (run_began, run_id) >= (
                SELECT (run_began, run_id) FROM began WHERE run_id = $first
            )
        )
),

numbers AS (
    FROM levels UNPIVOT INCLUDE NULLS (
        value FOR metric IN (COLUMNS(c -> c LIKE '%throughput' OR c LIKE '%!_ms' ESCAPE '!' OR c = 'goodput'))
    )
),

errors AS (
    SELECT
        run_id, target, workload, level, statistic || '_' || metric AS metric,
        (ci_high - ci_low) / (2 * 1.96) AS se
    FROM load_intervals
    WHERE run_id IN (SELECT run_id FROM levels) AND estimable AND ci_low > 0 AND statistic || '_' || metric IN (
        SELECT unnest(string_split($metrics, ','))
    )
)

SELECT
    numbers.run_id, numbers.target, workload, level, measurement_key, metric, value, se, valid,
    invalid_reasons
FROM numbers
LEFT JOIN errors USING (run_id, target, workload, level, metric)
WHERE metric IN (SELECT unnest(string_split($metrics, ',')))
ORDER BY numbers.started_at, numbers.run_id, numbers.target, workload, level, metric;

-- The run of a target before this one that has answers to the same benchmark.
-- param run_id (run): the run
-- param target (target): the target's name
-- param benchmark (benchmark): the benchmark's name
WITH asked AS (
    SELECT run_id, started_at
    FROM targets
    WHERE
        target = $target
        AND run_id IN (
            SELECT run_id FROM accuracy_results
            WHERE
                target = $target AND benchmark = $benchmark
                AND NOT starts_with(measurement_key, 'imported:')
        )
)

SELECT run_id
FROM asked
WHERE started_at < (
    SELECT min(started_at) FROM targets WHERE run_id = $run_id AND target = $target
)
ORDER BY started_at DESC
LIMIT 1;

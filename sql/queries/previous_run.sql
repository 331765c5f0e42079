-- The run of a target before this one that has answers to the same benchmark, asked as in this run
-- (the same measurement key); of a run without a result, as in any.
-- param run_id (run): the run
-- param target (target): the target's name
-- param benchmark (benchmark): the benchmark's name
WITH own AS (
    SELECT measurement_key FROM accuracy_results
    WHERE run_id = $run_id AND target = $target AND benchmark = $benchmark
),

asked AS (
    SELECT run_id, started_at
    FROM targets
    WHERE
        target = $target
        AND run_id IN (
            SELECT run_id FROM accuracy_results
            WHERE
                target = $target AND benchmark = $benchmark
                AND NOT starts_with(measurement_key, 'imported:')
                AND (
                    measurement_key IN (SELECT measurement_key FROM own)
                    OR NOT EXISTS (SELECT 1 FROM own)
                )
        )
)

SELECT run_id
FROM asked
WHERE started_at < (
    SELECT min(started_at) FROM targets WHERE run_id = $run_id AND target = $target
)
ORDER BY started_at DESC
LIMIT 1;

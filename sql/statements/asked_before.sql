-- The benchmarks that each target of a run was asked in its run before that, and not in this one.
WITH before AS (
    SELECT target, arg_max(run_id, started_at) AS run_id
    FROM targets
    WHERE
        target IN (SELECT target FROM targets WHERE run_id = $run_id)
        AND status = 'completed'
        AND engine_kind <> 'imported'
        AND started_at < (SELECT min(started_at) FROM targets WHERE run_id = $run_id)
    GROUP BY target
)

SELECT DISTINCT accuracy_results.target, benchmark
FROM accuracy_results
JOIN before USING (run_id, target)
ANTI JOIN (FROM accuracy_results WHERE run_id = $run_id) AS tonight
    ON tonight.target = accuracy_results.target AND tonight.benchmark = accuracy_results.benchmark
ORDER BY accuracy_results.target, benchmark;

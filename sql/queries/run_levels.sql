-- The load levels of one run, as they were driven.
-- param run_id (run): the run
SELECT *
FROM load_levels
WHERE run_id = $run_id
ORDER BY target, workload, max_concurrency, request_rate, started_at;

-- The row of one run.
-- param run_id (run): the run
SELECT *
FROM runs
WHERE run_id = $run_id;

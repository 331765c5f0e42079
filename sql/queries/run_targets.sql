-- The targets of one run and how they went.
-- param run_id (run): the run
SELECT *
FROM targets
WHERE run_id = $run_id
ORDER BY started_at, target;

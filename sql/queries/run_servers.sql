-- The servers one run launched: how they booted, how they ended.
-- param run_id (run): the run
SELECT *
FROM servers
WHERE run_id = $run_id
ORDER BY target, launch;

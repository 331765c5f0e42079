-- What one run was asked to do: its suite's file, its targets, the run it resumed.
-- param run_id (run): the run
SELECT name, value
FROM provenance
WHERE run_id = $run_id AND target = '_run';

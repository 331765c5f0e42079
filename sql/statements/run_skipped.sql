-- What of one run was not begun because its time was over: stages, and whole targets (no stage).
SELECT target, substr(name, length('skipped ') + 1) AS stage, value AS reason
FROM provenance
WHERE run_id = $run_id AND name LIKE 'skipped %'

UNION ALL

SELECT target, NULL, error
FROM targets
WHERE run_id = $run_id AND status = 'skipped'
ORDER BY target, stage NULLS FIRST;

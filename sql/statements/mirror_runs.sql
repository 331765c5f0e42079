-- Every run with a target, oldest first.
SELECT DISTINCT targets.run_id, coalesce(runs.suite, '') AS suite, min(targets.started_at) AS began
FROM targets
LEFT JOIN runs USING (run_id)
GROUP BY targets.run_id, runs.suite
ORDER BY began, targets.run_id;

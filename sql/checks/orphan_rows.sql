-- Rows that belong to a target, or a run, which the history does not have.
SELECT 'no target row' AS wrong, run_id, target, 'load_levels' AS table_name, count(*) AS row_count
FROM load_levels ANTI JOIN targets USING (run_id, target)
WHERE run_id IN (SELECT unnest($run_ids)) GROUP BY run_id, target
UNION ALL
SELECT 'no target row', run_id, target, 'accuracy_results', count(*)
FROM accuracy_results ANTI JOIN targets USING (run_id, target)
WHERE run_id IN (SELECT unnest($run_ids)) GROUP BY run_id, target
UNION ALL
SELECT 'no target row', run_id, target, 'servers', count(*)
FROM servers ANTI JOIN targets USING (run_id, target)
WHERE run_id IN (SELECT unnest($run_ids)) GROUP BY run_id, target
UNION ALL
SELECT 'no target row', run_id, target, 'verdicts', count(*)
FROM verdicts ANTI JOIN targets USING (run_id, target)
WHERE verdict <> 'not measured' AND run_id IN (SELECT unnest($run_ids)) GROUP BY run_id, target
UNION ALL
SELECT 'no target row', run_id, target, 'annotations', count(*)
FROM annotations ANTI JOIN targets USING (run_id, target)
WHERE run_id IN (SELECT unnest($run_ids)) GROUP BY run_id, target
UNION ALL
SELECT 'no level row', intervals.run_id, intervals.target, 'load_intervals', count(*)
FROM load_intervals AS intervals ANTI JOIN load_levels USING (run_id, target, workload, level)
WHERE intervals.run_id IN (SELECT unnest($run_ids)) GROUP BY intervals.run_id, intervals.target;

-- What a run may have once and has more often.
SELECT 'more than one run row' AS wrong, run_id, NULL AS target, NULL AS name, NULL AS part
FROM runs WHERE run_id IN (SELECT unnest($run_ids)) GROUP BY run_id HAVING count(*) > 1
UNION ALL
SELECT 'more than one target row', run_id, target, NULL, NULL
FROM targets WHERE run_id IN (SELECT unnest($run_ids))
GROUP BY run_id, target HAVING count(*) > 1
UNION ALL
SELECT 'more than one level row', run_id, target, workload, level
FROM load_levels WHERE run_id IN (SELECT unnest($run_ids))
GROUP BY run_id, target, workload, level, started_at HAVING count(*) > 1
UNION ALL
SELECT 'more than one result row', run_id, target, benchmark, subset
FROM accuracy_results WHERE run_id IN (SELECT unnest($run_ids))
GROUP BY run_id, target, benchmark, subset, started_at HAVING count(*) > 1
UNION ALL
SELECT 'judged more than once at a time', run_id, target, name, subset_or_level || ' ' || metric
FROM verdicts WHERE run_id IN (SELECT unnest($run_ids))
GROUP BY run_id, target, hardware_class, measurement_key, name, subset_or_level, metric, judged_at
HAVING count(*) > 1;

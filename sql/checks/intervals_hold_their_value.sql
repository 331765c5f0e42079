-- Intervals that do not contain what they are the interval of.
SELECT
    'value outside its interval' AS wrong, run_id, target, workload AS name,
    level || ' ' || statistic || ' ' || metric AS part
FROM load_intervals
WHERE run_id IN (SELECT unnest($run_ids)) AND (value < ci_low OR value > ci_high)
UNION ALL
SELECT 'accuracy outside its interval', run_id, target, benchmark, subset
FROM accuracy_results
WHERE
    run_id IN (SELECT unnest($run_ids)) AND num_samples > 0
    AND (accuracy < ci_low - 1e-9 OR accuracy > ci_high + 1e-9);

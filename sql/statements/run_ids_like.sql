SELECT run_id FROM (SELECT run_id FROM runs UNION SELECT run_id FROM targets)
WHERE $prefix = '' OR starts_with(run_id, $prefix)
ORDER BY run_id;

SELECT arg_max(run_id, started_at) AS run_id
FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets);

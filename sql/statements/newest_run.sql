-- A run dated ahead of the clock only where there is no other.
SELECT
    coalesce(
        arg_max(run_id, started_at) FILTER (started_at <= current_date + INTERVAL 2 DAY),
        arg_max(run_id, started_at)
    ) AS run_id
FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets);

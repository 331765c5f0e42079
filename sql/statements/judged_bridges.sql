-- What was asked as before in the runs that began to ask something else, from one run to another: by
-- its older measurement key, so that verdicts can go on.
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
)

SELECT run_id, target, workload, level, measurement_key, metric, value
FROM further_values
JOIN began USING (run_id)
WHERE
    kind = 'old'
    AND valid
    AND value IS NOT NULL
    AND (run_began, run_id) <= (SELECT (run_began, run_id) FROM began WHERE run_id = $run_id)
    AND (
        $first::VARCHAR IS NULL
        OR (run_began, run_id) >= (SELECT (run_began, run_id) FROM began WHERE run_id = $first)
    )
ORDER BY run_began, run_id, target, workload, level, metric;

-- What was measured again, in the runs from one to another: as verdicts draw on it, in its order.
-- param run_id (run): the newest run that counts
-- param first (run) = NULL: the oldest run that counts
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
)

SELECT run_id, target, kind, number, workload, level, metric, value
FROM further_values
JOIN began USING (run_id)
WHERE
    valid
    AND kind <> 'old'
    AND (run_began, run_id) <= (SELECT (run_began, run_id) FROM began WHERE run_id = $run_id)
    AND (
        $first::VARCHAR IS NULL
        OR (run_began, run_id) >= (SELECT (run_began, run_id) FROM began WHERE run_id = $first)
    )
ORDER BY run_began, run_id, target, kind, number, workload, level, metric;

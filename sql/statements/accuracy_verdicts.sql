-- What was decided about benchmarks in the runs before one, the oldest first.
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
)

SELECT run_id, target, hardware_class, name AS benchmark, verdict, event_kind, event, since
FROM verdicts
JOIN began USING (run_id)
WHERE metric = 'accuracy' AND run_began < (SELECT run_began FROM began WHERE run_id = $run_id)
QUALIFY judged_at = max(judged_at) OVER (PARTITION BY run_id)
ORDER BY run_began;

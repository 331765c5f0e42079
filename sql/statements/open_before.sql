-- What was open of each target's speed before a run, since when.
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
),

newest AS (
    SELECT target, since, event_kind
    FROM verdicts
    JOIN began USING (run_id)
    WHERE
        metric <> 'accuracy'
        AND run_began < (SELECT run_began FROM began WHERE run_id = $run_id)
    QUALIFY row_number() OVER (PARTITION BY target ORDER BY run_began DESC, judged_at DESC) = 1
)

SELECT target, since FROM newest WHERE event_kind IS NOT NULL AND since IS NOT NULL;

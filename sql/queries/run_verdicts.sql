-- What was decided about a run: a row for each target's speed, and one for each of its benchmarks.
-- param run_id (run): the run
SELECT *
FROM verdicts
WHERE run_id = $run_id
QUALIFY
    judged_at = coalesce(
        max(judged_at) FILTER (judged_at <= current_date + INTERVAL 2 DAY) OVER (),
        max(judged_at) OVER ()
    )
ORDER BY target, metric = 'accuracy', name;

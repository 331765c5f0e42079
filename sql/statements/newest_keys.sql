-- What a target was asked the last time that it was put under a load: the run, and each level's key.
WITH levels AS (
    SELECT run_id, level, measurement_key, duration_s, started_at
    FROM load_levels
    WHERE
        target = $target
        AND workload = $workload
        AND hardware_class IS NOT DISTINCT FROM $hardware_class
        AND run_id <> $run_id
        AND NOT starts_with(measurement_key, 'imported:')
)

SELECT run_id, level, measurement_key, duration_s
FROM levels
WHERE run_id = (FROM levels SELECT arg_max(run_id, started_at))
ORDER BY started_at;

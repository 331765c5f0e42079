-- How often each question was answered right, in the newest runs up to one: what its benchmarks are
-- judged by. Only runs that asked the same, on the same hardware, and whose result is valid.
-- param run_id (run): the newest run that counts
-- param runs (count) = 80: so many of each target and benchmark
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
),

results AS (
    SELECT accuracy_results.*, run_began
    FROM accuracy_results
    JOIN began USING (run_id)
    WHERE
        subset = 'all'
        AND NOT starts_with(measurement_key, 'imported:')
        AND (run_began, run_id) <= (SELECT (run_began, run_id) FROM began WHERE run_id = $run_id)
),

tonight AS (
    SELECT target, benchmark, measurement_key, hardware_class FROM results WHERE run_id = $run_id
),

chosen AS (
    SELECT results.run_id, run_began, results.target, results.benchmark, valid, invalid_reasons
    FROM results
    JOIN tonight
        ON
            results.target = tonight.target
            AND results.benchmark = tonight.benchmark
            AND results.measurement_key = tonight.measurement_key
            AND results.hardware_class IS NOT DISTINCT FROM tonight.hardware_class
    WHERE valid OR results.run_id = $run_id
    QUALIFY
        row_number() OVER (
            PARTITION BY results.target, results.benchmark ORDER BY run_began DESC
        ) <= $runs::BIGINT
)

SELECT
    run_id, target, benchmark, valid,
    array_to_string(invalid_reasons, ', ') AS reasons,
    subset || '/' || sample_id AS question,
    count(*) FILTER (correct) AS num_right, count(*) AS num_asked
FROM chosen
JOIN accuracy_samples USING (run_id, target, benchmark)
GROUP BY ALL
ORDER BY run_id, target, benchmark, question;

-- The runs in the history, newest first.
-- param limit (count) = 20: how many
WITH of_targets AS (
    SELECT
        run_id, min(night) AS night, min(started_at) AS started_at, count(*) AS num_targets,
        string_agg(target, ', ' ORDER BY started_at) AS targets,
        string_agg(DISTINCT status, ', ') AS status
    FROM targets
    GROUP BY run_id
),

benchmarks AS (
    SELECT
        run_id, benchmark, printf('%.3f', min(accuracy)) AS worst,
        printf('%.3f', max(accuracy)) AS best
    FROM accuracy_results
    WHERE subset = 'all'
    GROUP BY run_id, benchmark
),

accuracies AS (
    SELECT
        run_id,
        string_agg(
            benchmark || ' ' || worst || if(worst = best, '', '-' || best), ', '
            ORDER BY benchmark
        ) AS accuracies
    FROM benchmarks
    GROUP BY run_id
),

loads AS (
    SELECT
        run_id, count(*) AS levels, count(*) FILTER (NOT valid) AS invalid_levels,
        max(output_throughput) AS best_output_throughput
    FROM load_levels
    GROUP BY run_id
)

SELECT
    run_id, coalesce(runs.night, of_targets.night) AS night, runs.suite,
    coalesce(runs.status, of_targets.status) AS status,
    coalesce(runs.started_at, of_targets.started_at) AS started_at,
    date_diff('second', runs.started_at, runs.ended_at) AS duration_s,
    of_targets.targets, of_targets.num_targets, accuracies.accuracies, loads.levels, loads.invalid_levels,
    loads.best_output_throughput, runs.error
FROM runs
FULL JOIN of_targets USING (run_id)
LEFT JOIN accuracies USING (run_id)
LEFT JOIN loads USING (run_id)
ORDER BY started_at DESC, run_id
LIMIT $limit::BIGINT;

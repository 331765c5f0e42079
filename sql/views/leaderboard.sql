-- Every target by its newest valid whole-benchmark accuracy, with its best valid output throughput
-- of the same run. Results imported from other tools are not in here; of a night dated ahead of the
-- clock only where there is no other.
CREATE OR REPLACE VIEW leaderboard AS
WITH newest AS (
    SELECT
        target, benchmark, run_id, night, hardware_class, accuracy, ci_low, ci_high,
        num_samples, measurement_key
    FROM accuracy_results
    WHERE subset = 'all' AND valid AND NOT starts_with(measurement_key, 'imported:')
    QUALIFY row_number() OVER (
        PARTITION BY target, benchmark ORDER BY night > current_date + 1, started_at DESC
    ) = 1
),

fastest AS (
    SELECT
        target, run_id, max(output_throughput) AS best_output_throughput,
        arg_max(max_concurrency, output_throughput) AS at_max_concurrency
    FROM load_levels
    WHERE valid
    GROUP BY target, run_id
)

SELECT
    newest.benchmark,
    rank() OVER (PARTITION BY newest.benchmark ORDER BY newest.accuracy DESC) AS place,
    newest.target, newest.accuracy, newest.ci_low, newest.ci_high, newest.num_samples,
    fastest.best_output_throughput, fastest.at_max_concurrency,
    newest.hardware_class, newest.night, newest.run_id, newest.measurement_key
FROM newest
LEFT JOIN fastest USING (target, run_id)
ORDER BY newest.benchmark, place, newest.target;

-- GPU energy of each load level: power_w of all GPUs while the level ran, per million output tokens.
-- param run_id (run): the run
-- param target (target) = NULL: one target; all of them unless given
WITH levels AS (
    SELECT
        run_id, target, night, workload, level, max_concurrency, started_at, duration_s,
        completion_tokens,
        started_at + to_microseconds((duration_s * 1e6)::BIGINT) AS ended_at
    FROM load_levels
    WHERE run_id = $run_id AND ($target::VARCHAR IS NULL OR target = $target)
),

power AS (
    SELECT
        levels.target, levels.workload, levels.level, telemetry.source,
        avg(telemetry.value) AS mean_power_w
    FROM levels
    JOIN telemetry
        ON telemetry.run_id = levels.run_id AND telemetry.target = levels.target
        AND telemetry.night = levels.night AND telemetry.name = 'power_w'
        AND telemetry.read_at BETWEEN levels.started_at AND levels.ended_at
    WHERE telemetry.night = (SELECT max(night) FROM landings WHERE run_id = $run_id)
    GROUP BY ALL
),

summed AS (
    SELECT
        target, workload, level, sum(mean_power_w) AS mean_power_w, count(*) AS num_gpus
    FROM power
    GROUP BY ALL
)

SELECT
    target, workload, level, num_gpus, round(mean_power_w, 1) AS mean_power_w, duration_s,
    completion_tokens,
    mean_power_w * duration_s / 3600 AS energy_wh,
    mean_power_w * duration_s / 3600 / nullif(completion_tokens, 0) * 1e6
        AS energy_wh_per_million_tokens
FROM levels
JOIN summed USING (target, workload, level)
ORDER BY target, workload, levels.max_concurrency, level;

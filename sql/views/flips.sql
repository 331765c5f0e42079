-- Samples that the newest run of a target answers differently (right or wrong) than the run before
-- it: the same question in the same words, the same repeat.
CREATE OR REPLACE VIEW flips AS
WITH newest AS (
    SELECT target, benchmark, measurement_key, run_id, night, started_at
    FROM accuracy_results
    WHERE subset = 'all' AND NOT starts_with(measurement_key, 'imported:')
    QUALIFY row_number() OVER (PARTITION BY target, benchmark ORDER BY started_at DESC) = 1
),

pairs AS (
    SELECT
        newer.target, newer.benchmark, newer.run_id, newer.night,
        older.run_id AS previous_run_id, older.night AS previous_night
    FROM newest AS newer
    JOIN accuracy_results AS older USING (target, benchmark, measurement_key)
    WHERE
        older.subset = 'all' AND older.run_id <> newer.run_id
        AND older.started_at < newer.started_at
    QUALIFY
        row_number() OVER (
            PARTITION BY newer.target, newer.benchmark ORDER BY older.started_at DESC
        ) = 1
),

asked AS (
    SELECT samples.*
    FROM accuracy_samples AS samples
    WHERE samples.night IN (SELECT night FROM pairs UNION SELECT previous_night FROM pairs)
)

SELECT
    pairs.target, pairs.benchmark, now.subset, now.sample_id, now.repeat,
    CASE WHEN now.correct THEN 'wrong to right' ELSE 'right to wrong' END AS flip,
    now.gold, before.extracted AS previous_extracted, now.extracted,
    before.reply AS previous_reply, now.reply, now.question,
    pairs.previous_run_id, pairs.run_id, pairs.previous_night, pairs.night
FROM pairs
JOIN asked AS now
    ON now.run_id = pairs.run_id AND now.target = pairs.target AND now.benchmark = pairs.benchmark
JOIN asked AS before
    ON before.run_id = pairs.previous_run_id AND before.target = pairs.target
    AND before.benchmark = pairs.benchmark AND before.subset = now.subset
    AND before.sample_id = now.sample_id AND before.repeat = now.repeat
    AND before.prompt_hash = now.prompt_hash
WHERE now.correct <> before.correct
ORDER BY pairs.target, pairs.benchmark, now.subset, now.sample_id, now.repeat;

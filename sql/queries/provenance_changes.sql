-- What changed under a target from one of its runs to the next: versions, driver, clocks, argv …
-- param target (target): the target's name
-- param nights (count) = 30: how many nights back from its newest
WITH facts AS (
    SELECT run_id, night, name, value FROM provenance WHERE target = $target
    UNION ALL
    SELECT run_id, night, 'engine_version', engine_version FROM targets WHERE target = $target
    UNION ALL
    SELECT run_id, night, 'config_digest', config_digest FROM targets WHERE target = $target
    UNION ALL
    SELECT run_id, night, 'hardware_class', hardware_class FROM targets WHERE target = $target
),

ordered AS (
    SELECT facts.*, targets.started_at
    FROM facts
    JOIN targets USING (run_id)
    WHERE
        targets.target = $target
        AND targets.engine_kind <> 'imported'
        AND facts.night > (
            SELECT max(night) - $nights::INTEGER FROM targets WHERE target = $target
        )
)

SELECT
    night, run_id, name,
    lag(value) OVER series AS previous_value, value
FROM ordered
WINDOW series AS (PARTITION BY name ORDER BY started_at)
QUALIFY
    previous_value IS DISTINCT FROM value
    AND row_number() OVER series > 1
ORDER BY night DESC, name;

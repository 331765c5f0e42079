-- The changes that are open: found, not recovered, and accepted by nobody. One row an event, as the
-- newest verdict of its targets has it; what was acknowledged is quiet until its date.
CREATE OR REPLACE VIEW open_events AS
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
),

newest AS (
    SELECT verdicts.*, run_began
    FROM verdicts
    JOIN began USING (run_id)
    QUALIFY
        row_number() OVER (
            PARTITION BY
                target, node, hardware_class, CASE WHEN metric = 'accuracy' THEN name END
            -- a run dated ahead of the clock only where there is no other
            ORDER BY
                run_began > current_date + INTERVAL 2 DAY, run_began DESC,
                judged_at > current_date + INTERVAL 2 DAY, judged_at DESC
        ) = 1
),

acknowledged AS (
    SELECT event, owner, ticket, quiet_until
    FROM annotations
    WHERE kind = 'acknowledged' AND event IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY event ORDER BY made_at DESC) = 1
)

SELECT
    event, any_value(event_kind) AS kind, string_agg(DISTINCT target, ', ' ORDER BY target) AS target,
    any_value(node) AS node, any_value(hardware_class) AS hardware_class, any_value(name) AS name,
    any_value(subset_or_level) AS subset_or_level, any_value(metric) AS metric,
    any_value(relative_change) AS relative_change, any_value(size_pct) AS size_pct,
    any_value(lo_pct) AS lo_pct, any_value(hi_pct) AS hi_pct, min(since) AS since,
    any_value(changed) AS changed, max(run_id) AS run_id, max(night) AS night,
    any_value(detail) AS detail, any_value(owner) AS owner, any_value(ticket) AS ticket,
    any_value(quiet_until) AS quiet_until,
    coalesce(any_value(quiet_until) >= current_date, false) AS is_quiet
FROM newest
LEFT JOIN acknowledged USING (event)
WHERE
    event IS NOT NULL
    AND verdict <> 'recovered'
    AND event NOT IN (
        SELECT event FROM annotations WHERE kind = 'accepted' AND event IS NOT NULL
    )
GROUP BY event
ORDER BY since, event;

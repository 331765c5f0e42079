-- The newest run that had this target, its night, and what it ran on. A run dated ahead of the clock
-- only where there is no other.
SELECT run_id, night, hardware_class
FROM targets
WHERE target = $target AND engine_kind <> 'imported'
ORDER BY started_at > current_date + INTERVAL 2 DAY, started_at DESC
LIMIT 1;

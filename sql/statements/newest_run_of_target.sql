-- The newest run that had this target, its night, and what it ran on.
SELECT run_id, night, hardware_class
FROM targets
WHERE target = $target AND engine_kind <> 'imported'
ORDER BY started_at DESC
LIMIT 1;

-- Nights dated ahead of the clock they landed by: that of the machine that ran them was wrong, or is
-- the other way round. They count for no retention until their day has come.
SELECT DISTINCT 'dated ahead of the clock' AS wrong, run_id, NULL AS target, NULL AS name,
    'night ' || night || ', landed ' || strftime(landed_at, '%Y-%m-%d %H:%M') AS part
FROM landings
WHERE run_id IN (SELECT unnest($run_ids)) AND night > landed_at::DATE + 1;

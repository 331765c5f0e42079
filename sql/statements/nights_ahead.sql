-- Nights that are dated ahead of the clock, but for those of these runs: they were said already.
SELECT DISTINCT night
FROM landings
WHERE night > $today AND run_id NOT IN (SELECT unnest($run_ids))
ORDER BY night;

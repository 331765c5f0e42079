SELECT run_id, target, folder_digest, landed_at FROM landings WHERE night = $night
ORDER BY sealed_at, run_id, target;

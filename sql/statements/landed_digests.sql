SELECT DISTINCT run_id, target, folder_digest FROM landings
WHERE run_id IN (SELECT unnest($run_ids));

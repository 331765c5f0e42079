SELECT DISTINCT folder_digest FROM landings WHERE run_id = $run_id AND target = $target;

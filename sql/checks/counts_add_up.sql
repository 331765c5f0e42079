-- Levels whose completed and failed requests are not those they were asked to send, and accuracies
-- that say they scored more than they asked. Levels that ended early say so in invalid_reasons.
SELECT 'completed + failed <> num_prompts' AS wrong, run_id, target, workload AS name, level AS part
FROM load_levels
WHERE run_id IN (SELECT unnest($run_ids)) AND valid AND completed + failed <> num_prompts
UNION ALL
SELECT 'num_correct > num_samples', run_id, target, benchmark, subset
FROM accuracy_results
WHERE run_id IN (SELECT unnest($run_ids)) AND num_correct > num_samples;

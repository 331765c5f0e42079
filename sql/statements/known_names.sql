-- What a parameter of a named query may name: everything of one kind, in one run or in all of them.
WITH named AS (
    SELECT 'target' AS kind, run_id, target AS name FROM targets
    UNION ALL
    SELECT 'benchmark', run_id, benchmark FROM accuracy_results
    UNION ALL
    SELECT 'level', run_id, level FROM load_levels
    UNION ALL
    SELECT 'name', run_id, benchmark FROM accuracy_results
    UNION ALL
    SELECT 'name', run_id, workload FROM load_levels
)

SELECT DISTINCT name
FROM named
WHERE kind = $kind AND ($run_id::VARCHAR IS NULL OR run_id = $run_id)
ORDER BY name;

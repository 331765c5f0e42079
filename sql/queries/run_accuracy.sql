-- The accuracies of one run, whole benchmarks before their subsets.
-- param run_id (run): the run
SELECT *
FROM accuracy_results
WHERE run_id = $run_id
ORDER BY target, benchmark, subset <> 'all', subset;

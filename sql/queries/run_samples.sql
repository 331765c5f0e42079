-- The questions of one run with their answers, in the order of their ids.
-- param run_id (run): the run
-- param target (target) = NULL: only this target
-- param benchmark (benchmark) = NULL: only this benchmark
SELECT *
FROM accuracy_samples
WHERE
    run_id = $run_id
    AND ($target::VARCHAR IS NULL OR target = $target)
    AND ($benchmark::VARCHAR IS NULL OR benchmark = $benchmark)
ORDER BY target, benchmark, subset, sample_id, repeat;

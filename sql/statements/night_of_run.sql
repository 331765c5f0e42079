-- The night a run belongs to.
SELECT min(night) FROM (
    SELECT night FROM runs WHERE run_id = $run_id
    UNION ALL
    SELECT night FROM targets WHERE run_id = $run_id
);

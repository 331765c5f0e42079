-- The targets whose configuration was accepted by itself in a run.
SELECT DISTINCT target
FROM annotations
WHERE run_id = $run_id AND kind = 'accepted by itself';

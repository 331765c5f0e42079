-- The targets that were ever measured here.
SELECT DISTINCT target FROM targets WHERE engine_kind <> 'imported' ORDER BY target;

SELECT * FROM accuracy_results WHERE run_id = $run_id ORDER BY target, benchmark, subset;

SELECT
    targets.target, targets.night, targets.hardware_class, targets.model,
    targets.served_model_name, targets.engine_kind, targets.engine_version, targets.status, targets.started_at,
    runs.suite, runs.trigger, runs.flow_run_id, runs.git_commit, runs.host
FROM targets
LEFT JOIN runs USING (run_id)
WHERE targets.run_id = $run_id
ORDER BY targets.started_at, targets.target;

-- What ran, night after night, up to a run and on the machines of it: every target with the digest of
-- what may change its numbers (engine and version, arguments, model, driver, the machine's facts).
-- param run_id (run): the newest run that counts
-- param facts (text) = cpu_count,cpu_model,cuda_version,driver_version,engine_environment,engine_image_digest,gpu_max_sm_clocks_mhz,gpu_names,gpu_power_limits_w,kernel,model_revision,python_version,torch_version,weights: which facts may change a number, besides digests of the model's files
WITH began AS (
    SELECT run_id, min(started_at) AS run_began
    FROM (SELECT run_id, started_at FROM runs UNION ALL SELECT run_id, started_at FROM targets)
    GROUP BY run_id
),

facts AS (
    SELECT
        run_id, target,
        md5(string_agg(name || '=' || value, chr(10) ORDER BY name)) AS digest
    FROM provenance
    WHERE
        name IN (SELECT unnest(string_split($facts, ',')))
        OR starts_with(name, 'digest_')
    GROUP BY run_id, target
),

hosts AS (
    SELECT run_id, target, any_value(value) AS host
    FROM provenance WHERE name = 'host' GROUP BY run_id, target
),

ran AS (
    SELECT
        targets.run_id, run_began, targets.night, targets.target, targets.hardware_class,
        coalesce(hosts.host, runs.host, '') AS node,
        md5(concat_ws('|', engine_kind, engine_version, config_digest, facts.digest)) AS provenance,
        targets.status, targets.error
    FROM targets
    JOIN began USING (run_id)
    LEFT JOIN runs USING (run_id)
    LEFT JOIN hosts ON hosts.run_id = targets.run_id AND hosts.target = targets.target
    LEFT JOIN facts ON facts.run_id = targets.run_id AND facts.target = targets.target
    WHERE engine_kind <> 'imported'
)

SELECT
    run_id, run_began AS began, night, target, hardware_class, node, provenance, status, error
FROM ran
WHERE
    node IN (SELECT node FROM ran WHERE run_id = $run_id)
    AND (run_began, run_id) <= (
        SELECT (run_began, run_id) FROM began WHERE run_id = $run_id
    )
ORDER BY run_began, run_id, target;

-- What a target was measured on in a run, by name.
SELECT name, value FROM provenance WHERE run_id = $run_id AND target = $target
UNION ALL
SELECT
    unnest(['engine_kind', 'engine_version', 'config_digest', 'hardware_class']),
    unnest([engine_kind, engine_version, config_digest, hardware_class])
FROM targets
WHERE run_id = $run_id AND target = $target;

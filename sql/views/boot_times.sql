-- How long each launch of a server took to answer, by phase.
CREATE OR REPLACE VIEW boot_times AS
SELECT
    target, night, run_id, launch, engine_kind, engine_version, hardware_class,
    boot_s, boot_process_s, boot_weights_s, boot_compile_s, boot_first_answer_s,
    exit_reason, teardown_s, teardown_clean, started_at
FROM servers
ORDER BY target, started_at;

-- The main numbers of every series, night by night. A series is what may be compared: a target, what
-- was asked (measurement_key) and the hardware class.
CREATE OR REPLACE VIEW nightly_trend AS
SELECT *, starts_with(measurement_key, 'imported:') AS imported FROM (
    SELECT
        target, night, run_id, 'accuracy' AS kind, benchmark AS name, subset AS subset_or_level,
        measurement_key, hardware_class, max_concurrency, NULL::DOUBLE AS request_rate,
        accuracy, ci_low, ci_high, valid, started_at
    FROM accuracy_results
    UNION ALL BY NAME
    SELECT
        target, night, run_id, 'load' AS kind, workload AS name, level AS subset_or_level,
        measurement_key, hardware_class, max_concurrency, request_rate,
        -- metrics: trend
        output_throughput, request_throughput, median_ttft_ms, p95_ttft_ms, median_tpot_ms,
        p95_tpot_ms, p95_e2el_ms,
        -- end of metrics
        valid, started_at
    FROM load_levels
);

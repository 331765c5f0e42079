-- Levels where a higher percentile is the smaller one.
SELECT 'percentiles out of order' AS wrong, run_id, target, workload AS name, level AS part
FROM load_levels
WHERE
    run_id IN (SELECT unnest($run_ids))
    AND (
        false
        -- metrics: percentiles
        OR median_ttft_ms > p90_ttft_ms OR p90_ttft_ms > p95_ttft_ms OR p95_ttft_ms > p99_ttft_ms OR
        median_ttfat_ms > p90_ttfat_ms OR p90_ttfat_ms > p95_ttfat_ms OR p95_ttfat_ms > p99_ttfat_ms
        OR median_tpot_ms > p90_tpot_ms OR p90_tpot_ms > p95_tpot_ms OR p95_tpot_ms > p99_tpot_ms OR
        median_itl_ms > p90_itl_ms OR p90_itl_ms > p95_itl_ms OR p95_itl_ms > p99_itl_ms OR
        median_icl_ms > p90_icl_ms OR p90_icl_ms > p95_icl_ms OR p95_icl_ms > p99_icl_ms OR
        median_e2el_ms > p90_e2el_ms OR p90_e2el_ms > p95_e2el_ms OR p95_e2el_ms > p99_e2el_ms OR
        median_queue_ms > p90_queue_ms OR p90_queue_ms > p95_queue_ms OR p95_queue_ms > p99_queue_ms
        -- end of metrics
    );

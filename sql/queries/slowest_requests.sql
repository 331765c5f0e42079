-- The slowest requests of one level of a run, with what may explain them.
-- param run_id (run): the run
-- param target (target): the target's name
-- param level (level): a level such as c10
-- param by (ttft_ms|tpot_ms|e2el_ms) = ttft_ms: the latency they are sorted by
-- param limit (count) = 20: how many
SELECT
    workload, level, request_index, ttft_ms, tpot_ms, e2el_ms, queue_ms, client_lag_max_ms,
    prompt_tokens, cached_tokens, completion_tokens, finish_reason, error_kind,
    sent_us / 1e6 AS sent_s, prompt_hash
FROM load_requests
WHERE
    run_id = $run_id AND target = $target AND level = $level
    AND night = (SELECT max(night) FROM landings WHERE run_id = $run_id)
ORDER BY
    CASE $by
        WHEN 'ttft_ms' THEN ttft_ms
        WHEN 'tpot_ms' THEN tpot_ms
        WHEN 'e2el_ms' THEN e2el_ms
        ELSE error('by is one of ttft_ms, tpot_ms, e2el_ms')
    END DESC NULLS LAST
LIMIT $limit::BIGINT;

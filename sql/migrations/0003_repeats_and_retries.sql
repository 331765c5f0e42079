-- What repeats and retries add: pass@k of a benchmark, and how long an answer took with its waits.
ALTER TABLE accuracy_results ADD COLUMN pass_at_k DOUBLE[];
ALTER TABLE shape.accuracy_samples ADD COLUMN total_latency_ms DOUBLE;

-- The tables of the history. No constraint beyond NOT NULL: landing is idempotent by its ledger
-- (`landings`), so that the same tables can live in a DuckLake, which has no keys.

-- Which sealed spool folders are in here. One row per folder, written in the folder's transaction.
CREATE TABLE landings (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    folder_digest VARCHAR NOT NULL,
    schema_version BIGINT NOT NULL,
    status VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    sealed_at TIMESTAMP NOT NULL,
    landed_at TIMESTAMP NOT NULL
);

-- Which Parquet files hold the bulky facts; the views over them list exactly these.
CREATE TABLE fact_files (
    table_name VARCHAR NOT NULL,
    night DATE NOT NULL,
    path VARCHAR NOT NULL,
    schema_version BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL
);

CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    night DATE NOT NULL,
    suite VARCHAR NOT NULL,
    suite_digest VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    trigger VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP,
    error VARCHAR,
    flow_run_id VARCHAR,
    nightbench_version VARCHAR NOT NULL,
    git_commit VARCHAR,
    host VARCHAR NOT NULL
);

CREATE TABLE targets (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    model VARCHAR NOT NULL,
    served_model_name VARCHAR NOT NULL,
    engine_kind VARCHAR NOT NULL,
    engine_version VARCHAR,
    config_digest VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    error VARCHAR,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP
);

CREATE TABLE servers (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    launch BIGINT NOT NULL,
    engine_kind VARCHAR NOT NULL,
    engine_version VARCHAR,
    argv VARCHAR[] NOT NULL,
    env VARCHAR NOT NULL,
    base_url VARCHAR NOT NULL,
    pid BIGINT,
    started_at TIMESTAMP NOT NULL,
    boot_s DOUBLE,
    boot_process_s DOUBLE,
    boot_weights_s DOUBLE,
    boot_compile_s DOUBLE,
    boot_first_answer_s DOUBLE,
    stopped_at TIMESTAMP,
    exit_reason VARCHAR,
    exit_code BIGINT,
    teardown_s DOUBLE,
    teardown_clean BOOLEAN,
    teardown_detail VARCHAR,
    log_path VARCHAR,
    log_tail VARCHAR
);

CREATE TABLE provenance (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL
);

CREATE TABLE accuracy_results (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    benchmark VARCHAR NOT NULL,
    subset VARCHAR NOT NULL,
    measurement_key VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    duration_s DOUBLE NOT NULL,
    num_samples BIGINT NOT NULL,
    num_questions BIGINT NOT NULL,
    repeats BIGINT NOT NULL,
    num_failed BIGINT NOT NULL,
    num_correct DOUBLE NOT NULL,
    accuracy DOUBLE NOT NULL,
    ci_low DOUBLE NOT NULL,
    ci_high DOUBLE NOT NULL,
    accuracy_strict DOUBLE NOT NULL,
    disagreements BIGINT NOT NULL,
    extraction_failed BIGINT NOT NULL,
    truncated BIGINT NOT NULL,
    max_concurrency BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    data_digest VARCHAR NOT NULL,
    valid BOOLEAN NOT NULL,
    invalid_reasons VARCHAR[] NOT NULL
);

CREATE TABLE load_levels (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    workload VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    measurement_key VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    max_concurrency BIGINT,
    request_rate DOUBLE,
    num_prompts BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    duration_s DOUBLE NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    cached_tokens BIGINT,
    completion_tokens BIGINT NOT NULL,
    request_throughput DOUBLE NOT NULL,
    output_throughput DOUBLE NOT NULL,
    total_token_throughput DOUBLE NOT NULL,
    steady_output_throughput DOUBLE,
    goodput DOUBLE,
    peak_concurrency BIGINT NOT NULL,
    mean_concurrency DOUBLE NOT NULL,
    littles_law_ratio DOUBLE,
    mean_ttft_ms DOUBLE,
    median_ttft_ms DOUBLE,
    p90_ttft_ms DOUBLE,
    p95_ttft_ms DOUBLE,
    p99_ttft_ms DOUBLE,
    mean_ttfat_ms DOUBLE,
    median_ttfat_ms DOUBLE,
    p90_ttfat_ms DOUBLE,
    p95_ttfat_ms DOUBLE,
    p99_ttfat_ms DOUBLE,
    mean_tpot_ms DOUBLE,
    median_tpot_ms DOUBLE,
    p90_tpot_ms DOUBLE,
    p95_tpot_ms DOUBLE,
    p99_tpot_ms DOUBLE,
    mean_itl_ms DOUBLE,
    median_itl_ms DOUBLE,
    p90_itl_ms DOUBLE,
    p95_itl_ms DOUBLE,
    p99_itl_ms DOUBLE,
    mean_icl_ms DOUBLE,
    median_icl_ms DOUBLE,
    p90_icl_ms DOUBLE,
    p95_icl_ms DOUBLE,
    p99_icl_ms DOUBLE,
    mean_e2el_ms DOUBLE,
    median_e2el_ms DOUBLE,
    p90_e2el_ms DOUBLE,
    p95_e2el_ms DOUBLE,
    p99_e2el_ms DOUBLE,
    mean_queue_ms DOUBLE,
    median_queue_ms DOUBLE,
    p90_queue_ms DOUBLE,
    p95_queue_ms DOUBLE,
    p99_queue_ms DOUBLE,
    client_lag_p50_ms DOUBLE,
    client_lag_p99_ms DOUBLE,
    client_lag_max_ms DOUBLE,
    client_cpu_s DOUBLE,
    coalesced_reads BIGINT NOT NULL,
    stamp_source VARCHAR NOT NULL,
    valid BOOLEAN NOT NULL,
    invalid_reasons VARCHAR[] NOT NULL
);

CREATE TABLE load_intervals (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    workload VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    statistic VARCHAR NOT NULL,
    value DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    estimable BOOLEAN NOT NULL
);

-- What was decided about one metric of one target in one run.
CREATE TABLE verdicts (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    measurement_key VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    subset_or_level VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,
    value DOUBLE,
    baseline DOUBLE,
    relative_change DOUBLE,
    p_value DOUBLE,
    since DATE,
    detail VARCHAR,
    judged_at TIMESTAMP NOT NULL
);

-- What people said about the series: shifts they accepted, and why.
CREATE TABLE annotations (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    name VARCHAR,
    subset_or_level VARCHAR,
    metric VARCHAR,
    kind VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    author VARCHAR,
    made_at TIMESTAMP NOT NULL
);

-- The columns of the bulky facts. These tables stay empty: they give the views over Parquet their
-- columns and types, also where no file is there yet or older files lack a newer column.
CREATE SCHEMA shape;

CREATE TABLE shape.accuracy_samples (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    benchmark VARCHAR NOT NULL,
    subset VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    repeat BIGINT NOT NULL,
    prompt_hash VARCHAR NOT NULL,
    question VARCHAR NOT NULL,
    reply VARCHAR,
    reasoning VARCHAR,
    extracted VARCHAR,
    extracted_strict VARCHAR,
    gold VARCHAR NOT NULL,
    correct BOOLEAN NOT NULL,
    correct_strict BOOLEAN NOT NULL,
    extraction_failed BOOLEAN NOT NULL,
    truncated BOOLEAN NOT NULL,
    finish_reason VARCHAR,
    error_kind VARCHAR,
    error VARCHAR,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    reasoning_tokens BIGINT,
    latency_ms DOUBLE,
    retries BIGINT NOT NULL,
    asked_at TIMESTAMP NOT NULL
);

CREATE TABLE shape.load_requests (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    workload VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    request_index BIGINT NOT NULL,
    prompt_hash VARCHAR NOT NULL,
    scheduled_us BIGINT NOT NULL,
    sent_us BIGINT,
    first_chunk_us BIGINT,
    first_answer_us BIGINT,
    last_chunk_us BIGINT,
    connect_ms DOUBLE,
    ttft_ms DOUBLE,
    ttfat_ms DOUBLE,
    tpot_ms DOUBLE,
    e2el_ms DOUBLE,
    queue_ms DOUBLE,
    client_lag_max_ms DOUBLE,
    ttft_bound_ms DOUBLE,
    coalesced_reads BIGINT NOT NULL,
    prompt_tokens BIGINT,
    cached_tokens BIGINT,
    completion_tokens BIGINT,
    reasoning_tokens BIGINT,
    token_source VARCHAR NOT NULL,
    finish_reason VARCHAR,
    http_status BIGINT,
    error_kind VARCHAR,
    error VARCHAR
);

CREATE TABLE shape.load_chunks (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    workload VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    request_index BIGINT NOT NULL,
    chunk_deltas_us INTEGER[] NOT NULL,
    chunk_tokens INTEGER[] NOT NULL
);

CREATE TABLE shape.telemetry (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    read_at TIMESTAMP NOT NULL,
    source VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);

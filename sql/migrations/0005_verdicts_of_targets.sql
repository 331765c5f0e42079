-- A verdict is about a target's night: how large the change is, which event it belongs to, what of
-- its provenance changed when that began. `size_pct` is plain per cent and positive is worse.
ALTER TABLE verdicts ADD COLUMN node VARCHAR;
ALTER TABLE verdicts ADD COLUMN size_pct DOUBLE;
ALTER TABLE verdicts ADD COLUMN lo_pct DOUBLE;
ALTER TABLE verdicts ADD COLUMN hi_pct DOUBLE;
ALTER TABLE verdicts ADD COLUMN event VARCHAR;
ALTER TABLE verdicts ADD COLUMN event_kind VARCHAR;
ALTER TABLE verdicts ADD COLUMN notice BOOLEAN;
ALTER TABLE verdicts ADD COLUMN is_new BOOLEAN;
ALTER TABLE verdicts ADD COLUMN more_nights BIGINT;
ALTER TABLE verdicts ADD COLUMN touched VARCHAR[];
ALTER TABLE verdicts ADD COLUMN changed VARCHAR;

-- People speak of an event, and may take it on until some date.
ALTER TABLE annotations ADD COLUMN event VARCHAR;
ALTER TABLE annotations ADD COLUMN owner VARCHAR;
ALTER TABLE annotations ADD COLUMN ticket VARCHAR;
ALTER TABLE annotations ADD COLUMN quiet_until DATE;

-- What was measured again in a night because a level looked wrong: the same boot once more (rep), or
-- a fresh boot (fresh), or one of the accepted configuration (ref). Not levels of the night: nothing
-- else reads them.
CREATE TABLE further_values (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    night DATE NOT NULL,
    hardware_class VARCHAR,
    kind VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    workload VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    measurement_key VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE,
    valid BOOLEAN NOT NULL,
    measured_at TIMESTAMP NOT NULL
);

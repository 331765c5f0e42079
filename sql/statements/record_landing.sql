INSERT INTO landings (
    run_id, target, night, folder_digest, schema_version, status, row_count, sealed_at, landed_at
)
VALUES (
    $run_id, $target, $night, $folder_digest, $schema_version, $status, $row_count, $sealed_at,
    $landed_at
);

INSERT INTO fact_files (table_name, night, path, schema_version, row_count, size_bytes, sha256)
VALUES ($table_name, $night, $path, $schema_version, $row_count, $size_bytes, $sha256);

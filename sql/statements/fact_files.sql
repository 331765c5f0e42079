SELECT schema_version, path FROM fact_files WHERE table_name = $table_name ORDER BY night, path;

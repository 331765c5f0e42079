SELECT night, path FROM fact_files WHERE table_name = $table_name;

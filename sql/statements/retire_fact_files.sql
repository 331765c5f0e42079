DELETE FROM fact_files WHERE table_name = $table_name AND night < $before RETURNING path;

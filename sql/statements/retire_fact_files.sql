DELETE FROM fact_files WHERE path IN (SELECT unnest($paths));

DELETE FROM fact_files WHERE night = $night;

SELECT path FROM fact_files;

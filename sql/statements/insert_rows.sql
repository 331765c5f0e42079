-- {table} is one of the tables of nightbench.history.tables, never a person's text.
INSERT INTO {table} BY NAME SELECT * FROM read_parquet($paths, hive_partitioning = false);

-- A view over the Parquet files of one bulky table. The words in braces are filled in by
-- nightbench.history.duckdb_files.publishing; the empty table in `shape` gives columns that older files lack.
CREATE OR REPLACE VIEW {table} AS
SELECT {columns} FROM (SELECT * FROM shape.{table} {branches});

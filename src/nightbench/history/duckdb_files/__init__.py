"""The history as DuckDB and Parquet files: ingest, compaction, retention, publishing, rebuild."""

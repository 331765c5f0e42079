SELECT columns.table_name, columns.column_name, columns.data_type, columns.is_nullable
FROM duckdb_columns() AS columns
WHERE NOT columns.internal AND columns.schema_name = 'main'
ORDER BY columns.table_name, columns.column_index;

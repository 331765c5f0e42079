-- Which schema a copy has, and how it reads the facts: whole paths are of earlier
-- releases.
SELECT
    (SELECT max(version) FROM schema_migrations) AS version,
    (
        SELECT sql FROM duckdb_views()
        WHERE view_name = 'load_requests' AND NOT internal
    ) AS facts;

UNION ALL BY NAME
SELECT *
FROM
    read_parquet(
        list_transform(
            {files}, lambda path: coalesce(getvariable('nightbench_history'), '') || path
        ),
        hive_partitioning = true, hive_types = {'night': DATE}
    )

INSERT INTO fact_files BY NAME SELECT unnest($rows, recursive := true);

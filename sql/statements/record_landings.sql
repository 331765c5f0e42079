INSERT INTO landings BY NAME SELECT unnest($rows, recursive := true);

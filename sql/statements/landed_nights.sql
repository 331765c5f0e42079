SELECT DISTINCT night FROM landings ORDER BY night;

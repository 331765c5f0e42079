-- Nights that are over (a newer one has landed, which is not dated ahead) and still lie in several
-- folders.
SELECT night
FROM fact_files
WHERE night < (SELECT max(night) FROM landings WHERE night <= $today)
GROUP BY night
HAVING count(DISTINCT parse_dirpath(path)) > 1
ORDER BY night;

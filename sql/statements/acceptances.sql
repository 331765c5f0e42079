-- What people have accepted, oldest first.
SELECT
    target, made_at, hardware_class,
    CASE WHEN metric = 'accuracy' THEN name END AS benchmark
FROM annotations
WHERE kind = 'accepted'
ORDER BY made_at;

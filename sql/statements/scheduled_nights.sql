-- When the nights that began by themselves began, those of the last days.
SELECT started_at
FROM runs
WHERE trigger = 'schedule' AND night >= $since::DATE
ORDER BY started_at;

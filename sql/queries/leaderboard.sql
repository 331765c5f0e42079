-- Targets by their newest accuracy on a benchmark, with their best throughput.
-- param benchmark (benchmark) = NULL: a benchmark's name; all of them unless given
SELECT * FROM leaderboard
WHERE $benchmark::VARCHAR IS NULL OR benchmark = $benchmark;

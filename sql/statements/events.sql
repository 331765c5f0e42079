-- What is open, the oldest first.
SELECT * FROM open_events ORDER BY since, event;

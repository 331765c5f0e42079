-- Events that somebody has taken on, and that are to be quiet today.
SELECT event FROM open_events WHERE is_quiet;

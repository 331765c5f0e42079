"""How each engine is started: pure functions from config to argv, environment and probes."""

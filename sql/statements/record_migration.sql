INSERT INTO schema_migrations (version, name, digest, applied_at)
VALUES ($version, $name, $digest, $applied_at);

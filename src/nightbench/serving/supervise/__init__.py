"""A server's process: launched, supervised, watched, and proven to be gone."""

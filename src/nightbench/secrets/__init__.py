"""Secrets: which values are some, and how they are kept out of every text and child."""

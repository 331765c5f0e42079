"""Replies scored: choices, phrases, mathematics and programs."""

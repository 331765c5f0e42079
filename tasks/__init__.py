"""Prefect task skins over the library, a few lines each."""

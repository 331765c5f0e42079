"""Accuracy: benchmarks, their prompts, the chat client, extraction and scoring.

`evaluate.evaluate` asks an endpoint one benchmark and returns rows; `benchmarks/` has one small
file per benchmark that only declares.
"""

"""Judging what was measured: values in, verdicts out."""

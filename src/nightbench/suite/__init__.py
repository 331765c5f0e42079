"""What to benchmark: suite.yaml as strict, frozen values."""

"""nightbench: nightly accuracy and concurrency benchmarks for self-hosted LLM servers."""

__version__ = "0.1.0"

"""From the rows of requests to metrics, validity, tables and files."""

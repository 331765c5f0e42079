"""Sending and stamping: the generator processes, from the first byte to the raw records."""

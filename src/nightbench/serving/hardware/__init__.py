"""The machine's GPUs and cores: found, leased, watched, and given back."""

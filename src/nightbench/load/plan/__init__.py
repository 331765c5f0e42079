"""What a load will send: levels, prompts, arrivals, and the bytes of every request."""

"""Everything around a served model: its environment, hardware, life and proven end."""

"""A night in miniature: the same suite on small stand-ins for what is not here."""

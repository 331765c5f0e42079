"""The morning's message: what it says, and how it gets to people."""

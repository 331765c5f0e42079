"""The morning message: what it says, and how it is sent."""

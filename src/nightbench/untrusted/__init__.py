"""What servers and files of others say, read within bounds of memory, depth and time."""

"""The parts of the load generator that are in C too."""

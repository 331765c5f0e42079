"""One night: its frame, its plan, its budget, and taking it up again."""

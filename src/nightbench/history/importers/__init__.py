"""Results that other tools left on disk, as rows of the history."""

"""From raw records to what came of each request. Runs after a level has ended."""

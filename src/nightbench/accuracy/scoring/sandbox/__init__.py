"""Programs that a model wrote, run apart from what judges them. Nothing but stdlib in here."""

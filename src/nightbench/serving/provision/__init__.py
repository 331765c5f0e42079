"""What a launch needs on disk: engine environments, models, and arguments that are right."""

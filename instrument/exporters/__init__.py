"""Records on their way to other systems: read from the store, never in the way of the application."""

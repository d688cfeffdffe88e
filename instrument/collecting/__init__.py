"""How finished records get from the application's threads to the disk."""

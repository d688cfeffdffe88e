"""The shapes of a record: live while it runs, stored on disk, and as columns for reading."""

"""How queries, calls and selections are recorded in the application's own threads."""

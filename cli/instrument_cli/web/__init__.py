"""`metrics serve`: pages, `/metrics` and `/api/` beside any number of applications, and jobs in the background."""

"""How queries, calls and selections are recorded in the application's own threads."""

from instrument.recording import open_work as open_work

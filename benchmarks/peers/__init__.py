"""Recorders side by side: what each costs a query, what it keeps, and whether it kept what it was given."""

from benchmarks.peers.comparison import run

__all__ = ["run"]

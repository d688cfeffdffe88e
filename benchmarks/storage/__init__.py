"""Storage and reports: how fast records come in, what they take on the disk, how fast figures come out."""

from benchmarks.storage.measuring import run

__all__ = ["run"]

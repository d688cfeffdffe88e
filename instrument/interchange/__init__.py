"""Formats of other systems, one file each: what they say of queries, and how ours are written."""

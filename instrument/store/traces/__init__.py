"""Traces that other tools have exported, as entries of a store: one file per format, and what they share."""

"""Figures out of the store's tables: SQL where the data is large, plain functions on what it returns.

Nothing here prints, reads a clock or draws.
"""

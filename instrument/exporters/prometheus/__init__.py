"""Metrics for Prometheus: counters that are added up from the store's records, and never fall."""

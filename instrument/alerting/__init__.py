"""Alerts: rules over a store, their state, and the messages they send; never in the process that records."""

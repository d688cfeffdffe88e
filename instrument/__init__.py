"""Instrumentation for agents: queries, tool calls and GraphQL calls, recorded on your own disk."""

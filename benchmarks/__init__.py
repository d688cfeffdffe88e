"""The overhead claim, the ingredients, the peers side by side, storage and reports: `python -m benchmarks`."""

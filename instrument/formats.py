"""The two files of the product's first document, `metrics.json` and `metrics.csv`, exactly as it has them.

What a spreadsheet would run as a formula is neutralised by an apostrophe in front where it is written to CSV, and
restored on import.
"""

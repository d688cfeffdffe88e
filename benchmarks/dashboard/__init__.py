"""How fast the dashboard paints, and how much it sends, over a store of a million queries."""

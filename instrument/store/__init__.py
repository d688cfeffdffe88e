"""The records on disk, as reports read them."""

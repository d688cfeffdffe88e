"""Records into ClickHouse, each exactly once: their rows, and the shipper."""

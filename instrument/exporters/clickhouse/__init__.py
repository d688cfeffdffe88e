"""Records into ClickHouse, each exactly once: tables, rows, the plain HTTP protocol, and the shipper."""

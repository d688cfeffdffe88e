"""ClickHouse as a source: its protocol, its tables, the one room where its SQL differs, and the tables for reading."""

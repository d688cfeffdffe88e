"""What changes a store's files besides recording: compaction, repair and forgetting."""

"""Outside frameworks: one file each, hooked in when the application imports it."""

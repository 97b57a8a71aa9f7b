"""Data quality by day: the pure core on generated traffic, then the table and the gate."""

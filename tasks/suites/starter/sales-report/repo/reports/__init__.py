"""Sales figures from CSV files, summed up and printed."""

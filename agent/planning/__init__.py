"""What a model needs of memory, what a machine has, and what fits: without running anything."""

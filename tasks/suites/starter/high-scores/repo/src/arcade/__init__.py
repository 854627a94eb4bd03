"""High scores for arcade games."""

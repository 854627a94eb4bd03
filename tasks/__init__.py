"""What is to be solved, and when it counts as solved."""

"""Events with the time in UTC, shown to people in the time of their office."""

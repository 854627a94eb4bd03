"""Many attempts at once: a suite run, its results, and what they say."""

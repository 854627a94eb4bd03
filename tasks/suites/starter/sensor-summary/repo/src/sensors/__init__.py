"""Temperature readings and what they say."""

"""A shopping cart with undo."""

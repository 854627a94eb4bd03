"""The doors: each module parses one command, calls the library and prints; none holds logic."""

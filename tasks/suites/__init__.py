"""Collections of tasks: each an iterable of tasks and, where it has one, its gold patches."""

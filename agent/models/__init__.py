"""A conversation in, a stream of typed events out: one module a kind of backend."""

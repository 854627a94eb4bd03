"""The way out of a sandbox, the host's end: what the inside asks for is parsed, checked against the
allowlist, connected, counted and logged here. The inside only carries bytes.
"""

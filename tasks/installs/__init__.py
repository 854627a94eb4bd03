"""What a repository's own files have installed into its image, by ecosystem.

A lock file of a repository that is not trusted is taken as far as it names packages by name and
version: they come from the index that this machine uses, whatever place the file says. What is
named by a path, a URL, a repository or another index is left out, and said. No configuration of
the repository (.npmrc, .yarnrc, pip.conf, .cargo/config.toml) is copied.
"""

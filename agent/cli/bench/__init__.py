"""The commands of `greenroom bench`."""

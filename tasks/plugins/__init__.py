"""What travels into a sandbox with the tests: modules for the project's interpreter, not for ours.

They are read as data (`tasks.runner.support_files`), never imported by the harness; they run on
Python 3.7 and later and import nothing beyond the standard library, pytest and each other.
"""

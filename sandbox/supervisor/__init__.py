"""What runs as PID 1 of every container: sent in as source, standard library only, Python 3.7+.

It is root with no capabilities but SETUID, SETGID and KILL, and single-threaded; what it starts
runs under the sandbox's own uid. `sandbox.source` puts these modules into one text.
No module loads `typing`, nor anything for annotations only (hence `TYPE_CHECKING = False` in them),
nor at its start what loads much for little (see `light`): a sandbox is not open before all of it is
loaded, and each command's process would share that memory.
"""

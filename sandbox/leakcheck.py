"""Whether the steps of a layer wrote a secret that they were lent into a file of the image.

A look for accidents, such as a setup command that writes pip's configuration: what runs in a build
could hide or send a secret as it likes, so only trusted steps are ever lent one.
"""

#: Prints the machine's time, for `FIND`.
NOW = ("date", "+%s")

#: The variable that `FIND` takes the secrets from, one a line.
VARIABLE = "GREENROOM_SECRETS"

_FIND = """
import os, stat, sys
told = os.environ["GREENROOM_SECRETS"]
secrets = [secret.encode("utf-8", "surrogateescape") for secret in told.split("\\n")]
since, longest = float(sys.argv[1]) - 1, max(map(len, secrets))

def holds(path):
    with open(path, "rb") as file:
        before = b""
        while True:
            chunk = file.read(1 << 20)
            if not chunk:
                return False
            if any(secret in before + chunk for secret in secrets):
                return True
            before = chunk[-longest:]

for folder, folders, names in os.walk("/"):
    folders[:] = [f for f in folders if not os.path.ismount(os.path.join(folder, f))]
    for path in (os.path.join(folder, name) for name in names):
        try:
            found = os.lstat(path)
            changed = stat.S_ISREG(found.st_mode) and found.st_ctime >= since
            if changed and holds(path):
                print(path)
                sys.exit(5)
        except FileNotFoundError:
            pass
"""

#: The exit code of `find` when there is such a file; its last line names it.
FOUND = 5


def find(since: str) -> tuple[str, ...]:
    """The command that looks at every file changed since the time that `NOW` printed."""
    return ("python3", "-I", "-S", "-c", _FIND, since)

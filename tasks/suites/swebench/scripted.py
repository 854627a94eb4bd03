"""How an instance is tested and rebuilt: its script made into a task's checks."""

from sandbox.ignore import IgnoreRules
from sandbox.patch import Patch
from sandbox.policy import GIB, MIB, Policy
from sandbox.rebuild import Rebuild
from sandbox.trees import Base
from tasks.formats.swebench import PREFIX
from tasks.protection import forbidden_patterns, protected_patterns
from tasks.suites.suite import Unsupported
from tasks.suites.swebench.place import CHECKOUT
from tasks.suites.swebench.rows import Row
from tasks.suites.swebench.script import Script, of_test_command, take_apart
from tasks.task import Checks

#: As the suite's own harness has it, seconds.
TIMEOUT = 1800.0
_REBUILD_TIMEOUT = 1800.0
# What SWE-smith runs where a repository's profile says nothing else.
_SMITH_COMMAND = "pytest --disable-warnings --color=no --tb=no --verbose"
_PYTEST_PARSER = "parse_log_pytest"
# Parsers that read pytest's summary lines; any other reads a format that no plugin of ours reports.
_PYTEST_PARSERS = frozenset(
    f"parse_log_{name}"
    for name in (
        *("pytest", "pytest_options", "pytest_v2", "astroid", "flask", "marshmallow", "pvlib"),
        *("pyvista", "sqlfluff", "xarray", "pydicom", "requests", "pylint", "astropy", "scikit"),
        *("sphinx", "seaborn", "matplotlib"),
    )
)
# Files that are compiled, or say what is.
_COMPILED = (
    *("*.pyx", "*.pxd", "*.pxi", "*.tp", "*.c", "*.cc", "*.cpp", "*.cxx", "*.h", "*.hpp", "*.f"),
    *("*.f90", "*.rs", "*.go", "*.java", "*.ts", "*.tsx", "*.kt", "*.scala", "meson.build"),
    *("setup.py", "setup.cfg", "pyproject.toml", "Cargo.toml", "pom.xml", "CMakeLists.txt"),
)
_DESCRIBING = ("setup.py", "setup.cfg", "pyproject.toml")


def script_of(row: Row) -> Script:
    """An instance's own script, or one around its test command. Raises Unsupported for a row that
    has neither."""
    if row.eval_script:
        return take_apart(row.eval_script)
    command = row.test_command or (_SMITH_COMMAND if row.variant == "swe-smith" else "")
    if not command:
        raise Unsupported(
            f"{row.id} does not say how it is tested: no eval_script, no install_config.",
            "Newer revisions of the dataset have eval_script in each row; use one of them.",
        )
    return of_test_command(command, _test_files(row), f"cd {CHECKOUT}")


def _test_files(row: Row) -> list[str]:
    """The files that hold the tests: those of the test patch, or of the ids."""
    from_patch = [
        line[len("+++ b/") :].strip()
        for line in row.test_patch.decode("utf-8", "replace").splitlines()
        if line.startswith("+++ b/")
    ]
    ids = (*row.fail_to_pass, *row.pass_to_pass)
    named = [path for path in from_patch if path.endswith(".py")]
    return named or sorted({id.partition("::")[0] for id in ids if "::" in id})


def checks_of(row: Row, script: Script, hidden: Patch | None, parser: str) -> Checks:
    """The checks of an instance. Raises Unsupported where nothing says how its log is read."""
    name = row.parser or parser
    if not name and row.variant != "swe-bench":
        name = _PYTEST_PARSER
    if not name:
        raise Unsupported(
            f"{row.id} does not say how its log is read (log_parser).",
            "Name a parser for such rows: swebench:FILE,parser=parse_log_pytest",
        )
    python = name in _PYTEST_PARSERS
    ecosystem = "python" if _is_python(row) else ""
    return Checks(
        test_command=script.test_command,
        framework="pytest" if python else f"{PREFIX}{name}",
        timeout=TIMEOUT,
        expected=row.fail_to_pass,
        kept=row.pass_to_pass,
        naming=f"{PREFIX}{name}" if python else "",
        protected=protected_patterns(ecosystem),
        forbidden_additions=forbidden_patterns(ecosystem),
        hidden=hidden,
        visible=False,
        tries=1,
    )


def _is_python(row: Row) -> bool:
    diff = row.gold or row.defect
    return b".py\n" in diff or not diff


def rebuild_of(script: Script, base: Base) -> Rebuild | None:
    """What builds an instance anew where a patch touches what is compiled; None for a repository
    with nothing of the kind. The base holds what its image was built with."""
    if not script.rebuild_command:
        return None
    sources = IgnoreRules((("", tuple(p for p in _COMPILED if p not in _DESCRIBING)),))
    if not any(sources.ignores(path) for path in base.entries):
        return None
    return Rebuild(
        script.rebuild_command, _COMPILED, _REBUILD_TIMEOUT, optional=True, prepared=True
    )


def policy_for(base: Base | None) -> Policy:
    """Limits with room for the base, None for a small one, and what its tests make."""
    usual = Policy()
    size, files = (base.memory_bytes, len(base.entries)) if base else (0, 0)
    workspace = max(usual.workspace_bytes, 2 * size + 256 * MIB)
    inodes = max(usual.workspace_inodes, 2 * files + 65_536)
    return Policy(
        memory_bytes=max(4 * GIB, workspace + 3 * GIB),
        workspace_bytes=workspace,
        workspace_inodes=inodes,
        pids=1024,
        command_timeout=600.0,
    )
